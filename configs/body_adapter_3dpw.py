"""The body adapter (or its base) on 3DPW: the row "ours" of the paper's tables 2 and 4.

    python tools/test.py configs/body_adapter_3dpw.py --adapter work_dirs/body_adapter_arctic/adapter.safetensors
    python tools/test.py configs/body_adapter_3dpw.py --adapter none    # the frozen base alone

You will change: data_root; body models and the expert's weights are those of body_adapter_arctic.py, or --cfg-options
body_model_root=... expert=...
"""
_base_ = ['./body_adapter_arctic.py']

data_root = 'data/3dpw'
test_dataloader = dict(dataset=dict(source=dict(
    _delete_=True, type='PW3DSource', data_root=data_root, body_model_root=_base_.body_model_root, split='test')))
test_evaluator = dict(protocol='3dpw')
