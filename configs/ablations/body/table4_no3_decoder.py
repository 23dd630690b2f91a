"""No. 3 of table 4: all of SMPLer-X behind its encoder. 30,875,416 parameters learn (the paper: 31M)."""
_base_ = ['../../body_adapter_arctic.py']

model = dict(
    adapter=None,
    losses=dict(                                      # SMPLer-X's for what eq. 7 leaves alone, and which learns here
        expression=dict(type='MaskedL1Loss', weight=1),
        left_hand_box=dict(type='BoxL1Loss', weight=1),
        right_hand_box=dict(type='BoxL1Loss', weight=1),
        face_box=dict(type='BoxL1Loss', weight=1)),
    trainable=['head'])
