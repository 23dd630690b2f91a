"""The open world's whole-body expert: SMPLer-X's architecture, small enough for 2 cores, trained from scratch on moving people.

    python tools/train.py configs/open/whole_body_expert_open.py   # makes data/weights/open/whole_body_expert.safetensors

You will change: nothing, to rebuild those weights; `embed_dim`, `img_size` and `iterations` for a stronger one.
"""
_base_ = ['../_base_/default_runtime.py']

data_root = 'data/open/arctic_bodies'                # head to foot, many postures, faces
upper_body_root = 'data/open/arctic_source'          # from the hips up, hands gesture and move as if they held something
body_model_root = 'data/body_models/open'
iterations = 2_400
crop = dict(type='PersonCrop', size=(256, 192), ratio=1.2)
frame = dict(img_size=(128, 96), map_size=(8, 8, 6), hand_map_size=(8, 8, 8), focal=(2500.0, 2500.0), princpt=(48.0, 64.0))

model = dict(
    type='WholeBodyExpert',
    backbone=dict(type='SMPLerXViT', img_size=(128, 96), embed_dim=128, depth=5, num_heads=4, drop_path_rate=0.05),
    head=dict(type='SMPLerXHead', context_dim=128, frame=frame, body_rotation=dict(dim=64), boxes=dict(dim=32),
              hand_rotation=dict(dim=64)),
    body_model=dict(type='SMPLXLayer', model_path=f'{body_model_root}/smplx'),
    losses=dict(                                      # SMPLer-X's, with its weights, and the first two
        rotations=dict(type='RotationMatrixLoss', weight=0.5, reduction='mean'),
        keypoint_map=dict(type='KeypointMapLoss', channels=128, num_keypoints=65, width_share=1.0, weight=0.1,
                          reduction='mean'),          # the encoder's own, instead of SMPLer-X's start from ViTPose
        joints_img=dict(type='MaskedL1Loss', weight=1),
        joints_proj=dict(type='MaskedL1Loss', weight=1),
        joints_3d=dict(type='MaskedL1Loss', weight=100),
        part_joints_3d=dict(type='MaskedL1Loss', weight=100),
        pose=dict(type='MaskedL1Loss', weight=1),
        betas=dict(type='MaskedL1Loss', weight=1),
        expression=dict(type='MaskedL1Loss', weight=1),
        left_hand_box=dict(type='BoxL1Loss', weight=1),
        right_hand_box=dict(type='BoxL1Loss', weight=1),
        face_box=dict(type='BoxL1Loss', weight=1)),
    expert=None,
    trainable=None,
    frozen_dtype='fp32')

train_pipeline = [
    dict(type='LoadImage'),
    dict(type='RandomPersonAugmentation', scale=0.15, degrees=20, turn_probability=0.6, flip_probability=0.5),
    crop,
    dict(type='ColorJitter', amount=0.2),
    dict(type='HeatmapTargets', frame=frame),
    dict(type='PackPersonInputs')]
test_pipeline = [dict(type='LoadImage'), crop, dict(type='HeatmapTargets', frame=frame), dict(type='PackPersonInputs')]
dataset = dict(type='ArcticPersonDataset', body_model_root=body_model_root, protocol='p1', views=(1, 2, 3, 4, 5, 6, 7, 8),
               stride=1)
train_datasets = [dict(**dataset, data_root=root, split='train', pipeline=train_pipeline)
                  for root in (data_root, upper_body_root)]

train_dataloader = dict(
    batch_size=32, num_workers=1, persistent_workers=True, sampler=dict(type='ResumableInfiniteSampler'),
    collate_fn=dict(type='hmr_collate'), dataset=dict(type='ConcatDataset', datasets=train_datasets))
val_dataloader = dict(
    batch_size=32, num_workers=1, sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='hmr_collate'),
    dataset=dict(**dataset, data_root=data_root, split='val', pipeline=test_pipeline, test_mode=True))
test_dataloader = val_dataloader
val_evaluator = dict(type='WholeBodyMetric', protocol='open-body-p1-val', body_model_root=body_model_root)
test_evaluator = val_evaluator

train_cfg = dict(type='ResumableTrainLoop', max_iters=iterations, val_interval=2000)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=5e-4, weight_decay=1e-2),
                     clip_grad=dict(max_norm=1.0))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=300),
    dict(type='CosineAnnealingLR', eta_min=5e-6, by_epoch=False, begin=300, end=iterations)]
custom_hooks = [dict(type='ThroughputHook'), dict(type='PredictionVisualizationHook', interval=1000)]
