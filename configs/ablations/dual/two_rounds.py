"""Beyond the paper: the hands that were read refine the body once more, and that body guides them again."""
_base_ = ['../../dual_path_arctic.py']

model = dict(rounds=2, rows=())
test_evaluator = dict(_delete_=True, **_base_.metric)
