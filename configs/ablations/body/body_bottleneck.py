"""Beyond the paper: a bottleneck of 64 before the body's regressor, without guidance."""
_base_ = ['../../body_adapter_arctic.py']

model = dict(adapter=dict(_delete_=True, type='BottleneckBodyAdapter', width=64))
