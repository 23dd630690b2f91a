"""Beyond the paper: the adapter with a code per joint, so that it knows which rotation is the wrist's."""
_base_ = ['../../hand_adapter_arctic.py']

model = dict(adapter=dict(joint_embedding=True))
