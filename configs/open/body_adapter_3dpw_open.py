"""The open world's whole-body expert, with its adapter or alone, on an open dataset in 3DPW's layout.

    python tools/open_world/make_bodies.py --layout 3dpw --out data/open/3dpw
    python tools/test.py configs/open/body_adapter_3dpw_open.py --adapter none    # the frozen base; or an adapter.safetensors

You will change: data_root.
"""
_base_ = ['./body_adapter_open.py']

data_root = 'data/open/3dpw'
test_dataloader = dict(dataset=dict(source=dict(
    _delete_=True, type='PW3DSource', data_root=data_root, body_model_root=_base_.body_model_root, split='test')))
test_evaluator = dict(protocol='3dpw')
