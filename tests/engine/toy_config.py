"""Six iterations of the toy in toy.py."""
custom_imports = dict(imports=['toy'])
default_scope = 'hmradapter'

data_root = 'data/toy'
batch = 3
dataset = dict(type='ToyDataset', data_root=data_root)

model = dict(type='ToyExpert', width=8, trainable=['adapter'])
train_dataloader = dict(
    batch_size=batch, num_workers=0, sampler=dict(type='ResumableInfiniteSampler'), collate_fn=dict(type='toy_collate'),
    dataset=dataset)
val_dataloader = dict(
    batch_size=batch, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False), collate_fn=dict(type='toy_collate'),
    dataset=dict(dataset, noise=0.0))
test_dataloader = val_dataloader
val_evaluator = dict(type='ToyMetric')
test_evaluator = val_evaluator
train_cfg = dict(type='ResumableTrainLoop', max_iters=6, val_interval=4)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(type='OptimWrapper', constructor='TrainableParamsConstructor',
                     optimizer=dict(type='AdamW', lr=1e-2, weight_decay=1e-2), clip_grad=dict(max_norm=1.0))
param_scheduler = [dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=4)]
default_hooks = dict(
    timer=dict(type='IterTimerHook'), logger=dict(type='LoggerHook', interval=1, log_metric_by_epoch=False),
    param_scheduler=dict(type='ParamSchedulerHook'), checkpoint=dict(type='AtomicCheckpointHook', interval=3, max_keep_ckpts=2),
    sampler_seed=dict(type='DistSamplerSeedHook'))
custom_hooks = [dict(type='ThroughputHook'), dict(type='FrozenParamsHook'), dict(type='AdapterCheckpointHook')]
env_cfg = dict(mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0), dist_cfg=dict(backend='auto'))
randomness = dict(seed=0)
log_processor = dict(type='LogProcessor', window_size=2, by_epoch=False)
visualizer = dict(type='Visualizer', vis_backends=[dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend')])
