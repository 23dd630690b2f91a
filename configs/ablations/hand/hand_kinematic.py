"""Our own: each joint says how it is bent and where it has turned to, with a code per joint and gates at zero."""
_base_ = ['../../hand_adapter_arctic.py']

model = dict(adapter=dict(type='KinematicHandAdapter'))
