"""The open world's whole-body expert, with its adapter or alone, on an open dataset in 3DPW's layout.

    python tools/open_world/make_bodies.py --layout 3dpw --out data/open/3dpw
    python tools/test.py configs/open/body_adapter_3dpw_open.py --adapter none    # the frozen base; or an adapter.safetensors

You will change: data_root.
"""
_base_ = ['./body_adapter_open.py']

data_root = 'data/open/3dpw'
body_model_root = 'data/body_models/open'
frame = dict(img_size=(128, 96), map_size=(8, 8, 6), hand_map_size=(8, 8, 8), focal=(2500.0, 2500.0), princpt=(48.0, 64.0))
test_pipeline = [
    dict(type='LoadImage'),
    dict(type='PersonCrop', size=(256, 192), ratio=1.2),
    dict(type='HeatmapTargets', frame=frame),
    dict(type='PackPersonInputs')]
test_dataloader = dict(
    dataset=dict(_delete_=True, type='PW3DDataset', data_root=data_root, body_model_root=body_model_root, split='test',
                 pipeline=test_pipeline, test_mode=True))
test_evaluator = dict(protocol='3dpw')
