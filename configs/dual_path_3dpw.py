"""The dual path on 3DPW: the paper's table 2.

    python tools/test.py configs/dual_path_3dpw.py

You will change: data_root; the rest is that of dual_path_arctic.py.
"""
_base_ = ['./dual_path_arctic.py']

data_root = 'data/3dpw'
test_dataloader = dict(dataset=dict(source=dict(
    _delete_=True, type='PW3DSource', data_root=data_root, body_model_root=_base_.body_model_root, split='test')))
metric = dict(type='WholeBodyMetric', protocol='3dpw', body_model_root=_base_.body_model_root)
test_evaluator = [
    dict(**metric, row='expert', prefix='expert'), dict(**metric, row='combined', prefix='combined'),
    dict(**metric, prefix='ours')]
