"""Two features summed by confidences. D width of both.
Source: PIXIE (Feng et al., 3DV 2021), `models/moderators.py`: an MLP, a learnt temperature, a softmax."""
import torch
from torch import Tensor, nn


class Moderator(nn.Module):
    """Looks at both features and says how much of each the sum shall have; the shares add up to 1."""

    def __init__(self, dim: int):
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(2 * dim, dim // 2), nn.ReLU(), nn.Linear(dim // 2, 2))  # PIXIE's 4096-1024-2
        self.temperature = nn.Parameter(torch.ones(()))

    def forward(self, own: Tensor, other: Tensor, has_other: Tensor | None = None) -> Tensor:
        """own (..., D) and other, which broadcasts to it, to their weighted sum (..., D).
        Where `has_other`, bool, (...) or broadcast to it, is false, all the confidence is in `own`."""
        other = other.expand_as(own)
        logits = self.temperature * self.mlp(torch.cat((own, other), dim=-1))
        if has_other is not None:
            logits = torch.stack((logits[..., 0], logits[..., 1].masked_fill(~has_other, float('-inf'))), dim=-1)
        own_share, other_share = logits.softmax(dim=-1).split(1, dim=-1)
        return own_share * own + other_share * other
