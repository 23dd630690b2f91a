"""No. 5 of table 4: the adapter fed SMPLer-X's own task tokens. 36,508,292 parameters learn (the paper: 37M)."""
_base_ = ['../../body_adapter_arctic.py']

sizes = {name: value for name, value in _base_.model.adapter.items()
         if name in ('depth', 'dim', 'heads', 'head_dim', 'mlp_dim', 'ffn_hidden')}
model = dict(adapter=dict(_delete_=True, type='TaskTokenBodyAdapter', **sizes))
