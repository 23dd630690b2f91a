"""The hand adapter on the open world's expert: hands that hold objects, seen by a frozen expert that never saw one.

    python tools/train.py configs/open/hand_adapter_open.py            2 cores, a few minutes: the heart of `make quickstart`
    python tools/test.py configs/open/hand_adapter_open.py --adapter work_dirs/hand_adapter_open/adapter.safetensors

You will change: model.adapter (docs/paper.md lists its switches), guidance, train_cfg.max_iters.
"""
_base_ = ['./hand_expert_open.py']

data_root = 'data/open/arctic'
guidance = dict(source='annotation', path=None)
iterations = 1500
warmup = min(100, iterations // 5)
model = dict(
    adapter=dict(type='HandAdapter', joints='arm'),
    losses=dict(keypoint_map=None),                    # the backbone's own, which is frozen
    expert='data/weights/open/hand_expert.safetensors',
    trainable=['adapter'],
    frozen_dtype='auto')
train_pipeline = [
    dict(type='LoadImage'),
    dict(type='RandomHandAugmentation', scale=0.1, degrees=15, turn_probability=0.6, shift=0.03),
    dict(type='HandCrop', image_size=128, rescale_factor=1.3),
    dict(type='ColorJitter', amount=0.2),
    dict(type='GuidanceNoise', degrees=5.0, dropout=0.1),  # so that a photo without a body still works
    dict(type='PackHandInputs')]
train_dataloader = dict(dataset=dict(source=dict(data_root=data_root), guidance=guidance, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(source=dict(data_root=data_root), guidance=guidance))
test_dataloader = val_dataloader

train_cfg = dict(max_iters=iterations, val_interval=iterations)
optim_wrapper = dict(constructor='TrainableParamsConstructor', optimizer=dict(lr=5e-4))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=warmup),
    dict(type='CosineAnnealingLR', eta_min=5e-6, by_epoch=False, begin=warmup, end=iterations)]
custom_hooks = [dict(type='ThroughputHook'), dict(type='FrozenParamsHook'), dict(type='AdapterCheckpointHook'),
                dict(type='PredictionVisualizationHook', interval=500)]
