"""The body adapter on the open world's expert: people who hold objects, seen by a frozen expert that never saw one.

    python tools/train.py configs/open/body_adapter_open.py            2 cores, a few minutes
    python tools/test.py configs/open/body_adapter_open.py --adapter work_dirs/body_adapter_open/adapter.safetensors

You will change: model.adapter (docs/paper.md lists its switches), hand_joint_noise, train_cfg.max_iters.
"""
_base_ = ['../_base_/default_runtime.py', '../_base_/open_whole_body.py']

data_root = 'data/open/arctic'
iterations = 1500
warmup = min(100, iterations // 5)
hand_joint_noise = dict(type='HandJointNoise', cells=0.6, dropout=0.1)  # as far as the expert's predicted joints are off

model = dict(
    adapter=dict(type='BodyAdapter', train_joints='annotation', test_joints='predicted', depth=3, dim=128, heads=4, head_dim=32,
                 mlp_dim=256, ffn_hidden=(256,)),
    losses=dict(                                     # as configs/body_adapter_arctic.py
        joints_img=dict(type='MaskedL1Loss', weight=1),
        joints_proj=dict(type='MaskedL1Loss', weight=1),
        joints_3d=dict(type='MaskedL1Loss', weight=100),
        part_joints_3d=dict(type='MaskedL1Loss', weight=100),
        pose=dict(type='MaskedL1Loss', weight=10),
        betas=dict(type='MaskedL1Loss', weight=1)),
    expert='data/weights/open/whole_body_expert.safetensors',
    trainable=['adapter'],
    frozen_dtype='auto')

train_pipeline = [
    dict(type='LoadImage'), _base_.augmentation, _base_.crop, dict(type='ColorJitter', amount=0.2),
    dict(type='HeatmapTargets', frame=_base_.frame), hand_joint_noise, dict(type='PackPersonInputs')]
train_dataloader = dict(
    batch_size=32, num_workers=1, persistent_workers=True, sampler=dict(type='ResumableInfiniteSampler'),
    collate_fn=dict(type='hmr_collate'),
    dataset=dict(type='PersonDataset', source=dict(**_base_.source, data_root=data_root, split='train'),
                 pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(source=dict(data_root=data_root)))
test_dataloader = val_dataloader

train_cfg = dict(type='ResumableTrainLoop', max_iters=iterations, val_interval=iterations)
optim_wrapper = dict(type='OptimWrapper', constructor='TrainableParamsConstructor', clip_grad=dict(max_norm=1.0),
                     optimizer=dict(type='AdamW', lr=1e-3, weight_decay=1e-2))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=warmup),
    dict(type='CosineAnnealingLR', eta_min=5e-6, by_epoch=False, begin=warmup, end=iterations)]
