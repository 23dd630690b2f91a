"""No. 1 of table 4: full fine-tuning of SMPLer-X. 661,827,096 parameters learn (the paper: 662M).

    python tools/train.py configs/ablations/body/table4_no1_full.py
    python tools/train.py configs/ablations/body/table4_no1_full.py --cfg-options _base_=configs/open/body_adapter_open.py
"""
_base_ = ['../../body_adapter_arctic.py']

model = dict(
    adapter=None,
    losses=dict(                                      # SMPLer-X's for what eq. 7 leaves alone, and which learns here
        expression=dict(type='MaskedL1Loss', weight=1),
        left_hand_box=dict(type='BoxL1Loss', weight=1),
        right_hand_box=dict(type='BoxL1Loss', weight=1),
        face_box=dict(type='BoxL1Loss', weight=1)),
    trainable=['backbone', 'head'])
