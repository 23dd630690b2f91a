"""Tables 1 and 2, the whole-body expert alone.

    python tools/test.py configs/ablations/dual/table1_expert.py
    python tools/test.py configs/ablations/dual/table1_expert.py --cfg-options _base_=configs/open/dual_path_open.py
"""
_base_ = ['../../dual_path_arctic.py']

model = dict(body=dict(adapter_file=None), hand=dict(adapter_file=None), rows=('expert',))
test_evaluator = dict(_delete_=True, **_base_.metric, row='expert')
