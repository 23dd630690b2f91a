"""Weighted sum of table 6: task tokens and the hands' feature, each as far as a moderator trusts it; the head learns, too."""
_base_ = ['../../body_adapter_arctic.py']

model = dict(
    adapter=dict(_delete_=True, type='WeightedSumBodyAdapter', conv='frozen'),     # the head's own
    losses=dict(                                      # SMPLer-X's for what eq. 7 leaves alone, and which learns here
        expression=dict(type='MaskedL1Loss', weight=1),
        left_hand_box=dict(type='BoxL1Loss', weight=1),
        right_hand_box=dict(type='BoxL1Loss', weight=1),
        face_box=dict(type='BoxL1Loss', weight=1)),
    trainable=['head', 'adapter'])
