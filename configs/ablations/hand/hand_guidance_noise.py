"""Beyond the paper: guidance as unsure as a predicted body's, turns of 15 degrees a joint, in one of four no body at all."""
_base_ = ['../../hand_adapter_arctic.py']

noise = dict(type='GuidanceNoise', degrees=15.0, dropout=0.25)
train_pipeline = [step for step in _base_.train_pipeline if step['type'] != noise['type']]
train_pipeline.insert(len(train_pipeline) - 1, noise)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
