"""Beyond the paper: a bottleneck of 64 behind each decoder layer, without guidance."""
_base_ = ['../../hand_adapter_arctic.py']

model = dict(adapter=dict(_delete_=True, type='BottleneckHandAdapter', width=64))
