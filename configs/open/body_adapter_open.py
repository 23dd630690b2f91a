"""The body adapter on the open world's expert: people who hold objects, seen by a frozen expert that never saw one.

    python tools/train.py configs/open/body_adapter_open.py            2 cores, a few minutes
    python tools/test.py configs/open/body_adapter_open.py --adapter work_dirs/body_adapter_open/adapter.safetensors

You will change: model.adapter (docs/paper.md lists its switches), hand_joint_noise, train_cfg.max_iters.
"""
_base_ = ['./whole_body_expert_open.py']

data_root = 'data/open/arctic'
body_model_root = 'data/body_models/open'
iterations = 1200
warmup = min(100, iterations // 5)
frame = dict(img_size=(128, 96), map_size=(8, 8, 6), hand_map_size=(8, 8, 8), focal=(2500.0, 2500.0), princpt=(48.0, 64.0))
model = dict(
    adapter=dict(type='BodyAdapter', train_joints='annotation', test_joints='predicted', depth=3, dim=128, heads=4, head_dim=32,
                 mlp_dim=256, ffn_hidden=(256,)),
    losses=dict(keypoint_map=None, expression=None, left_hand_box=None, right_hand_box=None, face_box=None),  # constant
    expert='data/weights/open/whole_body_expert.safetensors',
    trainable=['adapter'],
    frozen_dtype='auto')
train_pipeline = [
    dict(type='LoadImage'),
    dict(type='RandomPersonAugmentation', scale=0.15, degrees=20, turn_probability=0.6, flip_probability=0.5),
    dict(type='PersonCrop', size=(256, 192), ratio=1.2),
    dict(type='ColorJitter', amount=0.2),
    dict(type='HeatmapTargets', frame=frame),
    dict(type='HandJointNoise', cells=0.2, dropout=0.1),  # so that predicted joints and missing hands are nothing new
    dict(type='PackPersonInputs')]
dataset = dict(_delete_=True, type='ArcticPersonDataset', data_root=data_root, body_model_root=body_model_root, protocol='p1',
               views=(1, 2, 3, 4, 5, 6, 7, 8), stride=1, split='train', pipeline=train_pipeline)
train_dataloader = dict(dataset=dataset)
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = val_dataloader

train_cfg = dict(max_iters=iterations, val_interval=iterations)
optim_wrapper = dict(constructor='TrainableParamsConstructor', optimizer=dict(lr=3e-4))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=warmup),
    dict(type='CosineAnnealingLR', eta_min=5e-6, by_epoch=False, begin=warmup, end=iterations)]
custom_hooks = [dict(type='ThroughputHook'), dict(type='FrozenParamsHook'), dict(type='AdapterCheckpointHook'),
                dict(type='PredictionVisualizationHook', interval=400)]
