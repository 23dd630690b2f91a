"""Body adapter on the paper's mixture of data sets, evaluated on ARCTIC, EHF and 3DPW.

    python tools/prepare_data.py h36m --src data/h36m --out data/prepared --split train --body-models data/body_models
    ...                                               likewise rich and bedlam, once each
    bash tools/dist_train.sh configs/body_adapter_mixed.py 4
    python tools/test.py configs/body_adapter_mixed.py --adapter work_dirs/body_adapter_mixed/adapter.safetensors
    python tools/test.py configs/body_adapter_ehf.py --adapter work_dirs/body_adapter_mixed/adapter.safetensors    and _3dpw

You will change: prepared (or name a release itself, which is then prepared on first use:
source=dict(type='H36MSource', data_root='data/h36m', body_model_root='data/body_models', split='train')), weights, expert.
"""
_base_ = ['./body_adapter_arctic.py']

prepared = 'data/prepared'
train_dataloader = dict(dataset=dict(
    _delete_=True, type='MixtureDataset',
    weights=None,                                     # by size: every person equally often; the paper gives none
    datasets=[dict(type='PersonDataset', source=f'{prepared}/h36m-train', pipeline=_base_.train_pipeline),
              dict(type='PersonDataset', source=f'{prepared}/rich-train', pipeline=_base_.train_pipeline),
              dict(type='PersonDataset', source=f'{prepared}/bedlam-train', pipeline=_base_.train_pipeline)]))
