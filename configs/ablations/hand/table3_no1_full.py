"""No. 1 of table 3: full fine-tuning of HaMeR. 670,409,837 parameters learn (the paper: 671M).

    python tools/train.py configs/ablations/hand/table3_no1_full.py
    python tools/train.py configs/ablations/hand/table3_no1_full.py --cfg-options _base_=configs/open/hand_adapter_open.py
"""
_base_ = ['../../hand_adapter_arctic.py']

model = dict(adapter=None, trainable=['backbone', 'head'])
