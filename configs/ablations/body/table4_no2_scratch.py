"""No. 2 of table 4: the whole of SMPLer-X from random weights, in twice the steps. 661,827,096 parameters learn (662M)."""
_base_ = ['../../body_adapter_arctic.py']

twice = 2 * _base_.iterations
model = dict(
    adapter=None,
    losses=dict(                                      # SMPLer-X's for what eq. 7 leaves alone, and which learns here
        expression=dict(type='MaskedL1Loss', weight=1),
        left_hand_box=dict(type='BoxL1Loss', weight=1),
        right_hand_box=dict(type='BoxL1Loss', weight=1),
        face_box=dict(type='BoxL1Loss', weight=1)),
    expert=None,
    trainable=['backbone', 'head'])
train_cfg = dict(max_iters=twice, val_interval=twice)
param_scheduler = [dict(part, end=twice) if part['end'] == _base_.iterations else part         # where there are any
                   for part in _base_.get('param_scheduler', [])]
