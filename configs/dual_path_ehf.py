"""The dual path on EHF: the second half of the paper's table 1.

    python tools/test.py configs/dual_path_ehf.py

You will change: data_root; the rest is that of dual_path_arctic.py.
"""
_base_ = ['./dual_path_arctic.py']

data_root = 'data/ehf'
test_dataloader = dict(dataset=dict(source=dict(_delete_=True, type='EHFSource', data_root=data_root)))
metric = dict(type='WholeBodyMetric', protocol='ehf', body_model_root=_base_.body_model_root)
test_evaluator = [
    dict(**metric, row='expert', prefix='expert'), dict(**metric, row='combined', prefix='combined'),
    dict(**metric, prefix='ours')]
