"""No. 5 of table 3: the adapter fed HaMeR's own image tokens. 26,750,976 parameters learn (the paper: 27M)."""
_base_ = ['../../hand_adapter_arctic.py']

model = dict(adapter=dict(_delete_=True, type='ImageTokenHandAdapter'))
