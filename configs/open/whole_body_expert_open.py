"""The open world's whole-body expert: SMPLer-X's architecture, small enough for 2 cores, trained from scratch on moving people.

    python tools/train.py configs/open/whole_body_expert_open.py   # docs/open_world.md says how its scenes are made
    python tools/model_converters/export_expert.py configs/open/whole_body_expert_open.py \\
        work_dirs/whole_body_expert_open/iter_10000.pth data/weights/open/whole_body_expert.safetensors

data/weights/open/whole_body_expert.safetensors is its result. You will change: nothing, to rebuild it; for a stronger one
iterations, and model and frame of _base_/open_whole_body.py.
"""
_base_ = ['../_base_/default_runtime.py', '../_base_/open_whole_body.py']

data_root = 'data/open/arctic_bodies'                # head to foot, many postures, faces
upper_body_root = 'data/open/arctic_source'          # from the hips up, hands gesture and move as if they held something
iterations = 10_000

model = dict(
    losses=dict(                                     # SMPLer-X's, with its weights, and the first two
        rotations=dict(type='RotationMatrixLoss', weight=0.5, reduction='mean'),
        keypoint_map=dict(type='KeypointMapLoss', channels=128, num_keypoints=65, width_share=1.0, weight=0.1,
                          reduction='mean'),         # the encoder's own, instead of SMPLer-X's start from ViTPose
        joints_img=dict(type='MaskedL1Loss', weight=1),
        joints_proj=dict(type='MaskedL1Loss', weight=1),
        joints_3d=dict(type='MaskedL1Loss', weight=100),
        part_joints_3d=dict(type='MaskedL1Loss', weight=100),
        pose=dict(type='MaskedL1Loss', weight=1),    # a tenth of SMPLer-X's: see rotations
        betas=dict(type='MaskedL1Loss', weight=1),
        expression=dict(type='MaskedL1Loss', weight=1),
        left_hand_box=dict(type='BoxL1Loss', weight=1),
        right_hand_box=dict(type='BoxL1Loss', weight=1),
        face_box=dict(type='BoxL1Loss', weight=1)),
    expert=None,
    trainable=None,
    frozen_dtype='fp32')

train_pipeline = [
    dict(type='LoadImage'), _base_.augmentation, _base_.crop, dict(type='ColorJitter', amount=0.2),
    dict(type='HeatmapTargets', frame=_base_.frame), dict(type='PackPersonInputs')]
train_datasets = [dict(type='PersonDataset', source=dict(**_base_.source, data_root=root, split='train'),
                       pipeline=train_pipeline) for root in (data_root, upper_body_root)]
train_dataloader = dict(
    batch_size=16, num_workers=1, persistent_workers=True, sampler=dict(type='ResumableInfiniteSampler'),
    collate_fn=dict(type='hmr_collate'), dataset=dict(type='ConcatDataset', datasets=train_datasets))
val_dataloader = dict(dataset=dict(source=dict(data_root=data_root)))
test_dataloader = val_dataloader

train_cfg = dict(type='ResumableTrainLoop', max_iters=iterations, val_interval=2000)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-3, weight_decay=1e-2),
                     clip_grad=dict(max_norm=1.0))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=300),
    dict(type='CosineAnnealingLR', eta_min=5e-6, by_epoch=False, begin=300, end=iterations)]
custom_hooks = [dict(type='ThroughputHook'), dict(type='PredictionVisualizationHook', interval=1000)]
