"""The open world's hand expert: HaMeR's architecture, small enough for 2 cores, trained from scratch on hands without objects.

    python tools/train.py configs/open/hand_expert_open.py             data/weights/open/hand_expert.safetensors is its result

You will change: nothing, to rebuild those weights; `embed_dim` and `iterations` for a stronger one.
"""
_base_ = ['../_base_/default_runtime.py']

data_root = 'data/open/arctic_source'
body_model_root = 'data/body_models/open'
iterations = 8_000
crop = dict(type='HandCrop', image_size=128, rescale_factor=1.3)  # HaMeR's 2 leaves a hand few of the 48 patches

right_hand = dict(type='MANOLayer', model_path=f'{body_model_root}/mano', side='right')
left_hand = dict(type='MANOLayer', model_path=f'{body_model_root}/mano', side='left')

model = dict(
    type='HandExpert',
    backbone=dict(type='HaMeRViT', img_size=(128, 96), embed_dim=128, depth=5, num_heads=4, drop_path_rate=0.05),
    head=dict(type='MANODecoderHead', context_dim=128, dim=128, depth=3, heads=4, head_dim=32, mlp_dim=256),
    body_model=right_hand,
    losses=dict(
        keypoints_2d=dict(type='Keypoint2DLoss', weight=0.01),
        keypoints_3d=dict(type='Keypoint3DLoss', weight=0.05),
        vertices=dict(type='VertexLoss', weight=0.0014),
        hand_pose=dict(type='HandPoseLoss', weight=0.05),
        betas=dict(type='BetasLoss', weight=0.0005),
        keypoint_map=dict(type='KeypointMapLoss', channels=128, weight=0.1)),  # instead of HaMeR's start from ViTPose
    expert=None,
    trainable=None,
    frozen_dtype='fp32')

train_pipeline = [
    dict(type='LoadImage'),
    dict(type='RandomHandAugmentation', scale=0.1, degrees=15, turn_probability=0.6, shift=0.03),
    crop,
    dict(type='ColorJitter', amount=0.2),
    dict(type='PackHandInputs')]
test_pipeline = [dict(type='LoadImage'), crop, dict(type='PackHandInputs')]
source = dict(type='ArcticSource', data_root=data_root, body_model_root=body_model_root, protocol='p1',
              views=(1, 2, 3, 4, 5, 6, 7, 8), stride=1)

train_dataloader = dict(
    batch_size=32, num_workers=1, persistent_workers=True, sampler=dict(type='ResumableInfiniteSampler'),
    collate_fn=dict(type='hmr_collate'),
    dataset=dict(type='HandDataset', source=dict(**source, split='train'), pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=64, num_workers=1, sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='hmr_collate'),
    dataset=dict(type='HandDataset', source=dict(**source, split='val'), pipeline=test_pipeline, test_mode=True))
test_dataloader = val_dataloader
val_evaluator = dict(type='HandMeshMetric', protocol='open-p1-val', body_models=dict(right=right_hand, left=left_hand))
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
