"""The toy of toy_config.py on a mixture: 11, 4 and 30 rows, whose shares are 1/2, 3/10 and 1/5."""
_base_ = ['./toy_config.py']

train_dataloader = dict(dataset=dict(
    _delete_=True, type='MixtureDataset', weights=[0.5, 0.3, 0.2],
    datasets=[dict(type='ToyDataset', size=11), dict(type='ToyDataset', size=4), dict(type='ToyDataset', size=30)]))
