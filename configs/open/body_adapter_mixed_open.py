"""configs/body_adapter_mixed.py on the open world: the same mixture of tiny releases in the data sets' raw layouts.

    python tools/open_world/make_layouts.py h36m rich bedlam --out data/open/layouts
    bash tools/dist_train.sh configs/open/body_adapter_mixed_open.py 2 --no-validate    a check that all of it runs, no result

You will change: layouts, train_cfg.max_iters.
"""
_base_ = ['./body_adapter_open.py']

layouts = 'data/open/layouts'
common = dict(body_model_root='data/body_models/open', split='train')
persons = dict(type='PersonDataset', pipeline=_base_.train_pipeline)
train_dataloader = dict(num_workers=4, dataset=dict(
    _delete_=True, type='MixtureDataset', weights=None,
    datasets=[dict(**persons, source=dict(type='H36MSource', data_root=f'{layouts}/h36m', **common)),
              dict(**persons, source=dict(type='RICHSource', data_root=f'{layouts}/rich', **common)),
              dict(**persons, source=dict(type='BEDLAMSource', data_root=f'{layouts}/bedlam', **common))]))
train_cfg = dict(max_iters=20)
