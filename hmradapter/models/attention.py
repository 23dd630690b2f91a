"""Scaled dot-product attention, fused and plain. B crops, H heads, N queries, M keys, D width of a head."""
import torch.nn.functional as F
from torch import Tensor


def attend(q: Tensor, k: Tensor, v: Tensor, fused: bool = True, seen: Tensor | None = None) -> Tensor:
    """softmax(q k^T / sqrt(D)) v: q (B, H, N, D), k and v (B, H, M, D) -> (B, H, N, D).

    `seen`, bool, broadcast to (B, H, N, M), takes the other keys out; every query must see one at least. `fused` picks torch's
    kernel; `plain_attention` is its twin, and tests hold the two together."""
    return F.scaled_dot_product_attention(q, k, v, attn_mask=seen) if fused else plain_attention(q, k, v, seen)


def plain_attention(q: Tensor, k: Tensor, v: Tensor, seen: Tensor | None = None) -> Tensor:
    """What `attend` computes, written out; the weights (B, H, N, M) exist in memory."""
    scores = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
    if seen is not None:
        scores = scores.masked_fill(~seen, float('-inf'))
    return scores.softmax(dim=-1) @ v


def split_heads(x: Tensor, heads: int) -> Tensor:
    """(B, N, H D) -> (B, H, N, D); the heads lie one after the other in the channels."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def merge_heads(x: Tensor) -> Tensor:
    """(B, H, N, D) -> (B, N, H D)."""
    return x.transpose(1, 2).flatten(2)
