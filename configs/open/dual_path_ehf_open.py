"""The dual path of the open world on a data set in EHF's layout (docs/open_world.md makes one).

    python tools/test.py configs/open/dual_path_ehf_open.py

You will change: data_root; the rest is that of dual_path_open.py.
"""
_base_ = ['./dual_path_open.py']

data_root = 'data/open/ehf'
test_dataloader = dict(dataset=dict(source=dict(_delete_=True, type='EHFSource', data_root=data_root)))
metric = dict(type='WholeBodyMetric', protocol='ehf', body_model_root=_base_.body_model_root)
test_evaluator = [
    dict(**metric, row='expert', prefix='expert'), dict(**metric, row='combined', prefix='combined'),
    dict(**metric, prefix='ours')]
