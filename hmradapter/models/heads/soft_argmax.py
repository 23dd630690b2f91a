"""Soft-argmax: where a heat map's mass lies. B crops, J joints."""
import torch
from torch import Tensor


def soft_argmax(logits: Tensor) -> tuple[Tensor, Tensor]:
    """logits (B, J, H, W) or (B, J, D, H, W) -> probabilities of the same shape, which sum to 1 over all cells of a joint, and
    expected indices (B, J, 2 or 3) as x, y(, z): x over columns from 0 to W - 1, without half-cell offsets."""
    probabilities = logits.flatten(2).softmax(dim=2).view_as(logits)
    cell_axes = range(2, logits.dim())
    expected = []
    for axis in reversed(cell_axes):
        marginal = probabilities.sum(dim=[other for other in cell_axes if other != axis])
        expected.append((marginal * torch.arange(logits.shape[axis], device=logits.device)).sum(2))
    return probabilities, torch.stack(expected, dim=2)
