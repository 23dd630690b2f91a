"""No. 6 of table 3, "ours" of table 5: the paper's adapter, as in hand_adapter_arctic.py. 26,759,936 parameters learn (27M)."""
_base_ = ['../../hand_adapter_arctic.py']
