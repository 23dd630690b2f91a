"""Beyond the paper: LoRA of rank 16 on the decoder's attention, without guidance."""
_base_ = ['../../hand_adapter_arctic.py']

model = dict(adapter=dict(_delete_=True, type='LoRAAdapter', places=['decoder'], rank=16))
