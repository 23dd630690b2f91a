"""The hand adapter, trained on bodies as the whole-body expert predicts them: what did best with predicted guidance on the open
world (docs/results.md). Training by the truth, as in the paper, is hand_adapter_arctic.py.

    python tools/test.py configs/body_adapter_arctic.py --adapter none --dump data/arctic/bodies_val.npz      who is held out
    python tools/test.py configs/body_adapter_arctic.py --adapter none --dump data/arctic/bodies_train.npz \\
        --cfg-options test_dataloader.dataset.source.split=train                                               who is trained on
    bash tools/dist_train.sh configs/hand_adapter_predicted_arctic.py 4

You will change: bodies, and what hand_adapter_arctic.py says (expert, data_root, body_model_root).
"""
_base_ = ['./hand_adapter_arctic.py']

bodies = dict(train='data/arctic/bodies_train.npz', val='data/arctic/bodies_val.npz')
train_dataloader = dict(dataset=dict(guidance=dict(source='file', path=bodies['train'])))
val_dataloader = dict(dataset=dict(guidance=dict(source='file', path=bodies['val'])))
test_dataloader = val_dataloader
