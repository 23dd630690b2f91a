"""configs/hand_adapter_mixed.py on the open world: the same mixture of tiny releases in the data sets' raw layouts.

    python tools/open_world/make_layouts.py rich bedlam freihand interhand --out data/open/layouts
    bash tools/dist_train.sh configs/open/hand_adapter_mixed_open.py 2 --no-validate    a check that all of it runs, no result

You will change: layouts, train_cfg.max_iters.
"""
_base_ = ['./hand_adapter_open.py']

layouts = 'data/open/layouts'
common = dict(body_model_root='data/body_models/open', split='train')
hands = dict(type='HandDataset', guidance=dict(source='annotation'), pipeline=_base_.train_pipeline)
train_dataloader = dict(num_workers=4, dataset=dict(
    _delete_=True, type='MixtureDataset', weights=[0.25, 0.25, 0.25, 0.25],
    datasets=[dict(**hands, source=dict(type='RICHSource', data_root=f'{layouts}/rich', **common)),
              dict(**hands, source=dict(type='BEDLAMSource', data_root=f'{layouts}/bedlam', **common)),
              dict(**hands, source=dict(type='FreiHANDSource', data_root=f'{layouts}/freihand', **common)),
              dict(**hands, source=dict(type='InterHandSource', data_root=f'{layouts}/interhand', **common))]))
train_cfg = dict(max_iters=20)
