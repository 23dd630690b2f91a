"""The similarity that brings one point set closest to another (Umeyama 1991), batched.

Convention: aligned = scale * (R x) + t, least squares over the points; scale = trace / variance, R a rotation (det +1) as in
HaMeR's `compute_similarity_transform`, unless reflections are asked for (FreiHAND's server allows them).
A set and its copy turned, doubled and moved align exactly.
"""
import torch
from torch import Tensor


def similarity_transform(source: Tensor, target: Tensor, allow_reflection: bool = False) -> tuple[Tensor, Tensor, Tensor]:
    """(..., N, 3) x 2 -> scale (...), R (..., 3, 3), t (..., 3). A source of coinciding points gets scale 0."""
    mean_source, mean_target = source.mean(-2, keepdim=True), target.mean(-2, keepdim=True)
    x, y = source - mean_source, target - mean_target
    u, singular, vh = torch.linalg.svd(x.transpose(-1, -2) @ y)
    signs = torch.ones_like(singular)
    if not allow_reflection:
        signs[..., -1] = torch.det(u @ vh).sign()
    rotation = vh.transpose(-1, -2) @ (signs.unsqueeze(-1) * u.transpose(-1, -2))
    variance = x.square().sum((-1, -2))
    scale = (singular * signs).sum(-1) / variance.clamp(min=torch.finfo(variance.dtype).tiny)
    translation = mean_target - scale[..., None, None] * (mean_source @ rotation.transpose(-1, -2))
    return scale, rotation, translation.squeeze(-2)


def similarity_align(source: Tensor, target: Tensor, allow_reflection: bool = False) -> Tensor:
    """`source` (..., N, 3) moved, turned, scaled onto `target` (..., N, 3). Computed in float64, returned in source's dtype."""
    x = source.double()
    scale, rotation, translation = similarity_transform(x, target.double(), allow_reflection)
    aligned = scale[..., None, None] * (x @ rotation.transpose(-1, -2)) + translation.unsqueeze(-2)
    return aligned.to(source.dtype)
