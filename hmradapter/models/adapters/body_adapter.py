"""The adapter of the whole-body expert (HMR-Adapter 3.4): what the hands look like corrects a frozen model's body pose.

B crops, K = 8 keys (index, middle, ring and little knuckle, left hand then right), F width of a key, D token width.
"""
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from hmradapter.geometry.body_frame import BodyFrame
from hmradapter.registry import ADAPTERS

from ..heads.attention import DecoderLayer
from ..heads.rotation_heads import BODY_ROTATIONS, BodyRotationHead
from ..heads.smplerx_head import HandMaps
from .knuckles import KnuckleGuided


@ADAPTERS.register_module()
class BodyAdapter(KnuckleGuided):
    """An empty token reads the features of both hands' knuckles and becomes an offset of the body's pose (eq. 4).

    The offset starts at exactly zero. At SMPLer-X-H's size 36,508,292 parameters learn, "about 37M"; docs/paper.md lists what
    the paper leaves open, and the counts of the other readings.

    With no knuckle at all the cross-attention adds nothing; the offset is then the same for every picture.

    Args:
        train_joints, test_joints, conv, joint_embedding, context_dim, feature_dim, frame: see `KnuckleGuided`.
        root: whether the root is refined with the 21 body joints.
        ffn_hidden: widths of the hidden layers of the offset's FFN.
        depth, dim, heads, head_dim, mlp_dim: the attention layers.
    """

    def __init__(self, train_joints: str = 'annotation', test_joints: str = 'predicted', conv: str = 'own', root: bool = True,
                 joint_embedding: bool = False, ffn_hidden: Sequence[int] = (1024,), depth: int = 6, dim: int = 1024,
                 heads: int = 8, head_dim: int = 64, mlp_dim: int = 1024, context_dim: int = 1280, feature_dim: int = 512,
                 frame: BodyFrame | None = None):
        super().__init__(train_joints, test_joints, conv, joint_embedding, context_dim, feature_dim, frame)
        self.root = root
        self.to_token = nn.Linear(1, dim)
        self.pos_embed = nn.Parameter(torch.randn(1, 1, dim))
        self.layers = nn.ModuleList(DecoderLayer(dim, feature_dim, heads, head_dim, mlp_dim) for _ in range(depth))
        self.to_offset = offset_ffn(dim, ffn_hidden, 6 * (root + BODY_ROTATIONS))

    def regress(self, regressor: BodyRotationHead, tokens: Tensor, positions: Tensor, hands: HandMaps,
                guidance: Mapping[str, Tensor] | None) -> Tensor:
        """The frozen regressor's pose6d (B, 132) and the offset."""
        return regressor(tokens, positions) + self.offset(hands, guidance)

    def offset(self, hands: HandMaps, guidance: Mapping[str, Tensor] | None = None) -> Tensor:
        """What to add to root and body (B, 132), interleaved rot6d; `guidance` as `guide` takes it."""
        return self.offset_of(*self.guide(hands, guidance))

    def offset_of(self, keys: Tensor, seen: Tensor | None = None) -> Tensor:
        """Keys (B, K, F), of which those that are seen (B, K) count, to the offset (B, 132)."""
        offset = self.to_offset(self.read(keys, seen))
        return offset if self.root else torch.cat((torch.zeros_like(offset[:, :6]), offset), dim=1)

    def read(self, keys: Tensor, seen: Tensor | None) -> Tensor:
        """The token (B, D) after it has read the keys (B, K, F) that are seen (B, K)."""
        tokens = (self.to_token(keys.new_zeros(1, 1, 1)) + self.pos_embed).expand(len(keys), -1, -1)
        for layer in self.layers:
            tokens = layer(tokens, keys, seen)
        return tokens.squeeze(1)


def offset_ffn(dim: int, hidden: Sequence[int], out: int) -> nn.Sequential:
    """Linear layers with GELU between them; the last one starts at zero, so that training starts at the expert."""
    widths = [dim, *hidden, out]
    layers = [layer for a, b in zip(widths[:-1], widths[1:], strict=True) for layer in (nn.Linear(a, b), nn.GELU())][:-1]
    nn.init.zeros_(layers[-1].weight)
    nn.init.zeros_(layers[-1].bias)
    return nn.Sequential(*layers)
