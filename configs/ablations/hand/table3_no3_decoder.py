"""No. 3 of table 3: HaMeR's decoder head alone. 39,497,837 parameters learn (the paper: 39M)."""
_base_ = ['../../hand_adapter_arctic.py']

model = dict(adapter=None, trainable=['head'])
