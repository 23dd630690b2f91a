"""Beyond the paper: LoRA of rank 16 on the backbone's attention, without guidance."""
_base_ = ['../../body_adapter_arctic.py']

model = dict(adapter=dict(_delete_=True, type='LoRAAdapter', places=['backbone'], rank=16))
