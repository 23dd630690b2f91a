"""Whole-body pose of table 5: the adapter guided by all 22 joints instead of the arm's eight."""
_base_ = ['../../hand_adapter_arctic.py']

model = dict(adapter=dict(joints='body'))
