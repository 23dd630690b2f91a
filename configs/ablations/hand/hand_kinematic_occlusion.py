"""Our own: kinematic guidance without gates, compared with what the expert sees, learnt as in hand_occlusion.py."""
_base_ = ['../../hand_adapter_arctic.py']

model = dict(adapter=dict(type='KinematicHandAdapter', compare=True, zero_gate=False))
covered = dict(type='RandomOcclusion', probability=0.6, sides=(0.25, 0.7))
place = [step['type'] for step in _base_.train_pipeline].index('ColorJitter')
train_pipeline = [*_base_.train_pipeline[:place], covered, *_base_.train_pipeline[place:]]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(adapter=dict(lr_mult=4))))
