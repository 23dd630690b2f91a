"""Weighted sum of table 5: image tokens and the arm's pose, each as far as a moderator trusts it; the decoder learns, too."""
_base_ = ['../../hand_adapter_arctic.py']

model = dict(adapter=dict(_delete_=True, type='WeightedSumHandAdapter', joints='arm'), trainable=['head', 'adapter'])
