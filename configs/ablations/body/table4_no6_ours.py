"""No. 6 of table 4, "ours" of table 6: the paper's adapter, as in body_adapter_arctic.py. 36,508,292 parameters learn (37M)."""
_base_ = ['../../body_adapter_arctic.py']
