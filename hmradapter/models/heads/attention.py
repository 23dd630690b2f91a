"""Attention layers of HaMeR's MANO decoder. B crops, T tokens, M context tokens, D token width, C context width.
Source: HaMeR `components/pose_transformer.py`; to_qkv holds q, k, v one after the other, each head after head."""
import torch
from torch import Tensor, nn

from ..attention import attend, merge_heads, split_heads


def output_projection(dim: int, heads: int, head_dim: int) -> nn.Module:
    """Back from the heads to the tokens; one head as wide as the tokens needs none (and the source has none)."""
    return nn.Identity() if heads == 1 and head_dim == dim else nn.Linear(heads * head_dim, dim)


class SelfAttention(nn.Module):
    """Tokens read each other: (B, T, D) -> (B, T, D).

    A single token attends to itself alone, so the update is to_out(v) and the q and k rows of `to_qkv` never matter; their
    gradient is exactly zero."""

    def __init__(self, dim: int, heads: int = 8, head_dim: int = 64, fused: bool = True):
        super().__init__()
        self.heads, self.fused = heads, fused
        self.to_qkv = nn.Linear(dim, 3 * heads * head_dim, bias=False)
        self.to_out = output_projection(dim, heads, head_dim)

    def forward(self, tokens: Tensor) -> Tensor:
        """tokens (B, T, D) give their update (B, T, D)."""
        q, k, v = self.to_qkv(tokens).chunk(3, dim=-1)
        if self.fused and tokens.shape[1] == 1:  # fused kernels leave rounding noise in the gradients of q and k
            return self.to_out(v)
        q, k, v = (split_heads(x, self.heads) for x in (q, k, v))
        return self.to_out(merge_heads(attend(q, k, v, self.fused)))


class CrossAttention(nn.Module):
    """Tokens (B, T, D) read a context (B, M, C), or what is seen of it."""

    def __init__(self, dim: int, context_dim: int, heads: int = 8, head_dim: int = 64, fused: bool = True):
        super().__init__()
        self.heads, self.fused = heads, fused
        self.to_q = nn.Linear(dim, heads * head_dim, bias=False)
        self.to_kv = nn.Linear(context_dim, 2 * heads * head_dim, bias=False)
        self.to_out = output_projection(dim, heads, head_dim)

    def forward(self, tokens: Tensor, context: Tensor, seen: Tensor | None = None) -> Tensor:
        """tokens (B, T, D) and context (B, M, C) give the tokens' update (B, T, D).

        `seen` (B, M), bool, takes the other entries out, whatever (finite) stands in them. Where nothing is seen the update is
        zero: a softmax over no key does not exist."""
        q = split_heads(self.to_q(tokens), self.heads)
        k, v = (split_heads(x, self.heads) for x in self.to_kv(context).chunk(2, dim=-1))
        if seen is None:
            return self.to_out(merge_heads(attend(q, k, v, self.fused)))
        anything = seen.any(dim=1, keepdim=True)                          # (B, 1)
        read = attend(q, k, v, self.fused, (seen | ~anything)[:, None, None])
        return torch.where(anything.unsqueeze(2), self.to_out(merge_heads(read)), 0)


class DecoderLayer(nn.Module):
    """Self-attention, cross-attention and feed-forward, each behind its norm and added to the tokens: (B, T, D) -> (B, T, D).
    `attend` and `feed` are its two halves, between which an adapter may join."""

    def __init__(self, dim: int, context_dim: int, heads: int, head_dim: int, mlp_dim: int, fused: bool = True):
        super().__init__()
        self.norm_sa = nn.LayerNorm(dim)
        self.self_attn = SelfAttention(dim, heads, head_dim, fused)
        self.norm_ca = nn.LayerNorm(dim)
        self.cross_attn = CrossAttention(dim, context_dim, heads, head_dim, fused)
        self.norm_ff = nn.LayerNorm(dim)
        self.ff = nn.Sequential(nn.Linear(dim, mlp_dim), nn.GELU(), nn.Linear(mlp_dim, dim))

    def forward(self, tokens: Tensor, context: Tensor, seen: Tensor | None = None) -> Tensor:
        """tokens (B, T, D) after they have read the context (B, M, C), of which `seen` (B, M) may take entries out."""
        return self.feed(self.attend(tokens, context, seen))

    def attend(self, tokens: Tensor, context: Tensor, seen: Tensor | None = None) -> Tensor:
        """Both attentions: (B, T, D) -> (B, T, D)."""
        tokens = tokens + self.self_attn(self.norm_sa(tokens))
        return tokens + self.cross_attn(self.norm_ca(tokens), context, seen)

    def feed(self, tokens: Tensor) -> Tensor:
        """The feed-forward: (B, T, D) -> (B, T, D)."""
        return tokens + self.ff(self.norm_ff(tokens))
