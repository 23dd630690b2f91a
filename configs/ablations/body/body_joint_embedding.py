"""Beyond the paper: the adapter with a code per knuckle, so that it knows sides and fingers."""
_base_ = ['../../body_adapter_arctic.py']

model = dict(adapter=dict(joint_embedding=True))
