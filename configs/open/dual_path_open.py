"""The dual path of the open world: both experts and adapters small enough for 2 cores.

    python tools/test.py configs/open/dual_path_open.py            rows expert, combined, ours on held-out subjects
    python tools/demo.py photo.jpg --config configs/open/dual_path_open.py

You will change: the adapter files, integrator.
"""
_base_ = ['../_base_/default_runtime.py', '../_base_/open_whole_body.py']

data_root = 'data/open/arctic'
body_expert = 'data/weights/open/whole_body_expert.safetensors'
hand_expert = 'data/weights/open/hand_expert.safetensors'
body_adapter = 'work_dirs/quickstart/body/adapter.safetensors'  # what `make quickstart` trains; None: the expert as it is
hand_adapter = 'work_dirs/quickstart/hand/adapter.safetensors'

model = dict(
    _delete_=True,
    type='DualPathEstimator',
    body=dict(from_config=('body_adapter_open.py', 'model'), options=dict(body_model_root=_base_.body_model_root),
              expert=body_expert, adapter_file=body_adapter),
    hand=dict(from_config=('hand_adapter_open.py', 'model'), options=dict(body_model_root=_base_.body_model_root),
              expert=hand_expert, adapter_file=hand_adapter),
    hand_crop=dict(type='HandCrop', image_size=128, rescale_factor=1.3),
    integrator=dict(type='elbow_twist'),
    min_side=8.0,                                     # its images are small
    rows=('expert', 'combined'))

test_pipeline = [
    dict(type='LoadImage'), _base_.crop, dict(type='HeatmapTargets', frame=_base_.frame),
    dict(type='PackPersonInputs', image=True)]
test_dataloader = dict(dataset=dict(source=dict(data_root=data_root), pipeline=test_pipeline))
val_dataloader = None
val_evaluator = None
val_cfg = None
metric = dict(type='WholeBodyMetric', protocol='open-body-p1-val', body_model_root=_base_.body_model_root)
test_evaluator = [
    dict(**metric, row='expert', prefix='expert'), dict(**metric, row='combined', prefix='combined'),
    dict(**metric, prefix='ours')]
