"""The body adapter (or its base) on 3DPW: the row "ours" of the paper's tables 2 and 4.

    python tools/test.py configs/body_adapter_3dpw.py --adapter work_dirs/body_adapter_arctic/adapter.safetensors
    python tools/test.py configs/body_adapter_3dpw.py --adapter none    # the frozen base alone

You will change: data_root and body_model_root (your downloads), expert (SMPLer-X's weights).
"""
_base_ = ['./body_adapter_arctic.py']

data_root = 'data/3dpw'
body_model_root = 'data/body_models'
test_pipeline = [dict(type='LoadImage'), dict(type='PersonCrop', ratio=1.2), dict(type='HeatmapTargets'),
                 dict(type='PackPersonInputs')]
test_dataloader = dict(
    dataset=dict(_delete_=True, type='PW3DDataset', data_root=data_root, body_model_root=body_model_root, split='test',
                 pipeline=test_pipeline, test_mode=True))
test_evaluator = dict(protocol='3dpw')
