"""Tables 1 and 2, "ours": both experts with their adapters."""
_base_ = ['../../dual_path_arctic.py']

model = dict(rows=())
test_evaluator = dict(_delete_=True, **_base_.metric)
