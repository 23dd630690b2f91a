"""Tables 1 and 2, both experts combined by inverse kinematics, without adapters."""
_base_ = ['../../dual_path_arctic.py']

model = dict(body=dict(adapter_file=None), hand=dict(adapter_file=None), rows=())
test_evaluator = dict(_delete_=True, **_base_.metric)
