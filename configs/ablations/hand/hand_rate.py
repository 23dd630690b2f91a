"""Beyond the paper: the adapter learns at four times the rate, as hand_occlusion.py does, on hands as they are."""
_base_ = ['../../hand_adapter_arctic.py']

optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(adapter=dict(lr_mult=4))))
