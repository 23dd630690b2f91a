"""What the losses share: the mask, and how samples add up.

The law of every loss here: what has no label contributes exactly zero, to the value and to every gradient, whatever stands in
its place (NaN included), and no sample's gradient depends on which labels the other samples have. So a missing label is
replaced before the arithmetic, not multiplied away after it, and 'mean' divides by the batch size, not by the count of labels.
"""
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

REDUCTIONS = ('sum', 'mean')
KINDS = ('l1', 'l2')


class SampleLoss(nn.Module, ABC):
    """A loss that adds up per sample. Subclasses give `per_sample(pred, target, valid) -> (B,)`.

    Args:
        weight: factor of the result (lambda of eq. 5).
        reduction: 'sum' over the batch, as HaMeR, whose weights go with it and whose scale grows with the batch; or 'mean',
            that sum divided by the batch size. Within a sample both sum over joints and components.
    """

    def __init__(self, weight: float = 1.0, reduction: str = 'sum'):
        super().__init__()
        if reduction not in REDUCTIONS:
            raise ValueError(f'reduction is {reduction!r}; it must be one of {REDUCTIONS}.')
        self.weight, self.reduction = weight, reduction

    @abstractmethod
    def per_sample(self, pred: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Loss (B,) of each sample before weighting, zero where `valid` (B,) is 0."""

    def forward(self, pred: Tensor, target: Tensor, valid: Tensor | None = None) -> Tensor:
        """Weighted scalar. `valid` (B,) holds 1 where the sample has this label and 0 where not; None is 1 everywhere."""
        valid = pred.new_ones(len(pred)) if valid is None else valid.to(pred.dtype)
        total = self.per_sample(pred, target, valid).sum()
        return self.weight * (total / len(pred) if self.reduction == 'mean' else total)


def distance(pred: Tensor, target: Tensor, confidence: Tensor, kind: str) -> Tensor:
    """confidence * |pred - target| ('l1') or its square ('l2'), summed per sample: (B, ...) -> (B,)."""
    labelled = confidence > 0
    confidence, difference = torch.where(labelled, confidence, 0), torch.where(labelled, pred - target, 0)
    error = difference.abs() if kind == 'l1' else difference.square()
    return (confidence * error).flatten(1).sum(1)


def over_sample(valid: Tensor, like: Tensor) -> Tensor:
    """valid (B,) -> (B, 1, ..., 1) with the dimensions of `like`."""
    return valid.view(-1, *[1] * (like.dim() - 1))


def check_kind(kind: str) -> str:
    """'l1' or 'l2', or a ValueError."""
    if kind not in KINDS:
        raise ValueError(f'kind is {kind!r}; it must be one of {KINDS}.')
    return kind
