"""No. 4 of table 4, "concatenation" of table 6: knuckle features beside the regressor's input; all of the head learns.
31,416,088 parameters (the paper: 31M)."""
_base_ = ['../../body_adapter_arctic.py']

model = dict(
    adapter=dict(_delete_=True, type='ConcatenationBodyAdapter', conv='frozen'),  # the head's own: with another 32,071,960
    losses=dict(                                      # SMPLer-X's for what eq. 7 leaves alone, and which learns here
        expression=dict(type='MaskedL1Loss', weight=1),
        left_hand_box=dict(type='BoxL1Loss', weight=1),
        right_hand_box=dict(type='BoxL1Loss', weight=1),
        face_box=dict(type='BoxL1Loss', weight=1)),
    trainable=['head', 'adapter'])
