"""No. 2 of table 3: the whole of HaMeR from random weights, in twice the steps. 670,409,837 parameters learn (671M)."""
_base_ = ['../../hand_adapter_arctic.py']

twice = 2 * _base_.iterations
model = dict(adapter=None, expert=None, trainable=['backbone', 'head'])
train_cfg = dict(max_iters=twice, val_interval=twice)
param_scheduler = [dict(part, end=twice) if part['end'] == _base_.iterations else part         # where there are any
                   for part in _base_.get('param_scheduler', [])]
