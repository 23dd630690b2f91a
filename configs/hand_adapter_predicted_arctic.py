"""The hand adapter, trained on bodies as the whole-body expert predicts them and on hands that are covered in part. With
predicted guidance it is better than the paper's training, hand_adapter_arctic.py, on the open world (docs/results.md).

    python tools/test.py configs/body_adapter_arctic.py --adapter none --dump data/arctic/bodies_val.npz \\
        --cfg-options expert=data/weights/smplerx.safetensors test_evaluator.dump_meshes=False
    (again with --dump data/arctic/bodies_train.npz and, as an option, test_dataloader.dataset.source.split=train)
    bash tools/dist_train.sh configs/hand_adapter_predicted_arctic.py 4 --cfg-options expert=data/weights/hamer.safetensors

You will change: bodies, and what hand_adapter_arctic.py says.
"""
_base_ = ['./hand_adapter_arctic.py']

bodies = dict(train='data/arctic/bodies_train.npz', val='data/arctic/bodies_val.npz')
covered = dict(type='RandomOcclusion', probability=0.6, sides=(0.25, 0.7))
place = [step['type'] for step in _base_.train_pipeline].index('ColorJitter')
train_pipeline = [*_base_.train_pipeline[:place], covered, *_base_.train_pipeline[place:]]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline, guidance=dict(source='file', path=bodies['train'])))
val_dataloader = dict(dataset=dict(guidance=dict(source='file', path=bodies['val'])))
test_dataloader = val_dataloader
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(adapter=dict(lr_mult=4))))  # as measured, in 1,000 iterations
