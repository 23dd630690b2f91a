"""The open world's whole-body expert, with its adapter or alone, on an open dataset in EHF's layout.

    python tools/open_world/make_bodies.py --layout ehf --out data/open/ehf --frames 100
    python tools/test.py configs/open/body_adapter_ehf_open.py --adapter none    # the frozen base; or an adapter.safetensors

You will change: data_root.
"""
_base_ = ['./body_adapter_open.py']

data_root = 'data/open/ehf'
test_dataloader = dict(dataset=dict(source=dict(_delete_=True, type='EHFSource', data_root=data_root)))
test_evaluator = dict(protocol='ehf')
