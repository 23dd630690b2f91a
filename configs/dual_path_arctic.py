"""The dual path on ARCTIC: the paper's tables 1 and 2, three rows in one run. Its adapters have configs of their own.

    python tools/test.py configs/dual_path_arctic.py               rows expert (SMPLer-X alone), combined (with HaMeR), ours
    python tools/demo.py photo.jpg --config configs/dual_path_arctic.py

You will change: the two experts and adapter files, integrator, data_root and body_model_root.
"""
_base_ = ['./_base_/default_runtime.py']

data_root = 'data/arctic'
body_model_root = 'data/body_models'
body_expert = 'data/weights/smplerx.safetensors'
hand_expert = 'data/weights/hamer.safetensors'
body_adapter = 'work_dirs/body_adapter_arctic/adapter.safetensors'  # None: the whole-body expert as it is
hand_adapter = 'work_dirs/hand_adapter_arctic/adapter.safetensors'  # None: the hand expert as it is

model = dict(
    type='DualPathEstimator',
    body=dict(from_config=('body_adapter_arctic.py', 'model'), options=dict(body_model_root=body_model_root),
              expert=body_expert, adapter_file=body_adapter),
    hand=dict(from_config=('hand_adapter_arctic.py', 'model'), options=dict(body_model_root=body_model_root),
              expert=hand_expert, adapter_file=hand_adapter),
    hand_crop=dict(type='HandCrop', image_size=256),
    integrator=dict(type='elbow_twist'),              # the paper's inverse kinematics; or wrist_copy, body_wrist
    min_side=16.0,                                    # px of a hand's box below which the whole-body expert's hand stays
    ray_strength=(0.0, 0.0),                          # (1, 1) turns both readings by the rays of their crops (needs true K)
    rows=('expert', 'combined'))

test_pipeline = [
    dict(type='LoadImage'), dict(type='PersonCrop', ratio=1.2), dict(type='HeatmapTargets'),
    dict(type='PackPersonInputs', image=True)]
test_dataloader = dict(
    batch_size=8, num_workers=4, sampler=dict(type='DefaultSampler', shuffle=False), collate_fn=dict(type='hmr_collate'),
    dataset=dict(type='PersonDataset', pipeline=test_pipeline, test_mode=True, source=dict(
        type='ArcticSource', data_root=data_root, body_model_root=body_model_root, protocol='p1',
        views=(1, 2, 3, 4, 5, 6, 7, 8), stride=10, split='val', truth='template')))
metric = dict(type='WholeBodyMetric', protocol='arctic-body-p1-val', body_model_root=body_model_root)
test_evaluator = [
    dict(**metric, row='expert', prefix='expert'), dict(**metric, row='combined', prefix='combined'),
    dict(**metric, prefix='ours')]
test_cfg = dict(type='TestLoop')
