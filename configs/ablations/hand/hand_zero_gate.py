"""Beyond the paper: the adapter behind gates that start at zero, so that training starts at the expert."""
_base_ = ['../../hand_adapter_arctic.py']

model = dict(adapter=dict(zero_gate=True))
