"""The body adapter (or its base) on EHF: the row "ours" of the paper's tables 2 and 4.

    python tools/test.py configs/body_adapter_ehf.py --adapter work_dirs/body_adapter_arctic/adapter.safetensors
    python tools/test.py configs/body_adapter_ehf.py --adapter none    # the frozen base alone

You will change: data_root; body models and the expert's weights are those of body_adapter_arctic.py, or --cfg-options
body_model_root=... expert=...
"""
_base_ = ['./body_adapter_arctic.py']

data_root = 'data/ehf'
test_dataloader = dict(dataset=dict(source=dict(_delete_=True, type='EHFSource', data_root=data_root)))
test_evaluator = dict(protocol='ehf')
