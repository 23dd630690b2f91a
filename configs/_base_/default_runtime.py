"""What every run shares: hooks, logs, environment. Nothing here changes a number."""
default_scope = 'hmradapter'
default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50, log_metric_by_epoch=False),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='AtomicCheckpointHook', by_epoch=False, interval=1000, max_keep_ckpts=2),
    sampler_seed=dict(type='DistSamplerSeedHook'))
custom_hooks = [dict(type='ThroughputHook'), dict(type='FrozenParamsHook'), dict(type='AdapterCheckpointHook'),
                dict(type='PredictionVisualizationHook', interval=500)]
env_cfg = dict(cudnn_benchmark=False, mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0), dist_cfg=dict(backend='auto'))
randomness = dict(seed=0)
log_processor = dict(type='LogProcessor', window_size=50, by_epoch=False)
log_level = 'INFO'
visualizer = dict(type='PredictionVisualizer', vis_backends=[dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend')])
load_from = None
resume = False
