"""Hand adapter on the paper's mixture of data sets, evaluated on ARCTIC.

    python tools/prepare_data.py rich --src data/rich --out data/prepared --split train --body-models data/body_models
    ...                                               likewise bedlam, freihand, interhand, once each
    bash tools/dist_train.sh configs/hand_adapter_mixed.py 4
    python tools/test.py configs/hand_adapter_mixed.py --adapter work_dirs/hand_adapter_mixed/adapter.safetensors

You will change: prepared (or name a release itself, which is then prepared on first use:
source=dict(type='RICHSource', data_root='data/rich', body_model_root='data/body_models', split='train')), weights, expert.
"""
_base_ = ['./hand_adapter_arctic.py']

prepared = 'data/prepared'
# The paper names Human3.6M as well. It has no finger labels, so it gives no hands: it trains the body (body_adapter_mixed.py).
# FreiHAND and InterHand2.6M have no bodies: their hands are guided by zeros, has_body_pose 0.
train_dataloader = dict(dataset=dict(
    _delete_=True, type='MixtureDataset',
    weights=[0.25, 0.25, 0.25, 0.25],                 # ours, the paper gives none; HaMeR's for the last two
    datasets=[dict(**_base_.dataset, source=f'{prepared}/rich-train', pipeline=_base_.train_pipeline),
              dict(**_base_.dataset, source=f'{prepared}/bedlam-train', pipeline=_base_.train_pipeline),
              dict(**_base_.dataset, source=f'{prepared}/freihand-train', pipeline=_base_.train_pipeline),
              dict(**_base_.dataset, source=f'{prepared}/interhand-train', pipeline=_base_.train_pipeline)]))
