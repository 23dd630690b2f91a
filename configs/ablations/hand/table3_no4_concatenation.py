"""No. 4 of table 3, "concatenation" of table 5: the arm's pose behind the image tokens, decoder and projection learn.
39,506,797 parameters (the paper: 39M)."""
_base_ = ['../../hand_adapter_arctic.py']

model = dict(adapter=dict(_delete_=True, type='ConcatenationHandAdapter', joints='arm'), trainable=['head', 'adapter'])
