"""A frozen base and an adapter of a few weights, with every source of randomness that real training has."""
import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from torch import nn
from torch.utils.data import Dataset

from hmradapter.models.freezing import freeze_all_but, frozen_tensors
from hmradapter.registry import DATASETS, FUNCTIONS, METRICS, MODELS


@DATASETS.register_module()
class ToyDataset(Dataset):
    """`size` rows of 4 numbers with noise from NumPy's and torch's global generators."""
    metainfo = dict(name='toy')

    def __init__(self, size: int = 11, noise: float = 0.1, data_root: str = '', pipeline=()):
        self.size, self.noise, self.data_root = size, noise, data_root

    def __len__(self):
        return self.size

    def __getitem__(self, index):
        rng = np.random.default_rng(np.random.randint(2 ** 31 - 1))
        row = torch.full((4,), float(index)) / self.size
        return dict(inputs=row + self.noise * (torch.rand(4) + torch.from_numpy(rng.random(4)).float()),
                    data_samples=torch.tensor([float(index)]))


@FUNCTIONS.register_module()
def toy_collate(items):
    return {key: torch.stack([item[key] for item in items]) for key in items[0]}


@MODELS.register_module()
class ToyExpert(BaseModel):
    """`broken` puts in the faults that FrozenParamsHook must find."""

    def __init__(self, width: int = 8, dropout: float = 0.5, trainable=('adapter',), broken: str | None = None,
                 data_preprocessor=None):
        super().__init__(data_preprocessor)
        self.backbone = nn.Sequential(nn.Linear(4, width), nn.BatchNorm1d(width), nn.Dropout(dropout))
        self.adapter = nn.Sequential(nn.Linear(width, width), nn.Dropout(dropout), nn.Linear(width, 1))
        self.trainable, self.broken = list(trainable), broken
        self.adapter_architecture, self.base_hash = dict(type='ToyAdapter', width=width), 'feed' * 16
        if broken != 'not frozen':
            freeze_all_but(self, self.trainable)

    def frozen_state(self):
        return frozen_tensors(self)

    def forward(self, inputs, data_samples=None, mode='tensor'):
        if self.broken == 'writes' and mode == 'loss':
            self.backbone[0].weight.data.add_(1e-3)
        prediction = self.adapter(self.backbone(inputs))
        if mode == 'loss':
            return dict(loss=(prediction - data_samples).square().mean())
        return [dict(prediction=row, target=target) for row, target in zip(prediction, data_samples, strict=True)]


@METRICS.register_module()
class ToyMetric(BaseMetric):
    """Mean absolute error."""
    default_prefix = 'toy'

    def __init__(self, scale: float = 1.0):
        super().__init__()
        self.scale = scale

    def process(self, data_batch, data_samples):
        self.results += [(sample['prediction'] - sample['target']).abs().item() for sample in data_samples]

    def compute_metrics(self, results):
        return dict(error=self.scale * sum(results) / len(results), count=len(results))
