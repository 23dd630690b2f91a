"""What the paper compares its hand adapter with (tables 3 and 5). B crops, T query tokens, M image tokens, J joints, C width.

`ConcatenationHandAdapter` and `WeightedSumHandAdapter` change what the expert's own decoder reads, so the decoder learns with
them: `trainable=['head', 'adapter']`.
"""
import torch
from torch import Tensor, nn

from hmradapter.registry import ADAPTERS

from ..heads.attention import DecoderLayer
from .adapter import Adapter
from .hand_adapter import BodyPoseGuided, GuidanceBlock
from .moderator import Moderator


@ADAPTERS.register_module()
class ImageTokenHandAdapter(Adapter):
    """No. 5 of table 3: `HandAdapter`'s blocks, fed the image tokens that the expert's decoder reads instead of a body's pose.
    These have the context's width, so nothing projects them; at HaMeR's size 26,750,976 parameters learn."""

    def __init__(self, dim: int = 1024, context_dim: int = 1280, depth: int = 6, heads: int = 8, head_dim: int = 64):
        super().__init__()
        self.blocks = nn.ModuleList(GuidanceBlock(dim, context_dim, heads, head_dim, own_norms=False, zero_gate=False)
                                    for _ in range(depth))

    def decode(self, index: int, layer: DecoderLayer, tokens: Tensor, context: Tensor, guidance: None) -> Tensor:
        """The frozen layer, and the block's own reading of the same context."""
        return layer.feed(layer.attend(tokens, context) + self.blocks[index](layer, tokens, context))

    def init_from(self, expert: nn.Module) -> None:
        """Every block starts as a copy of its layer."""
        for block, layer in zip(self.blocks, expert.head.layers, strict=True):
            block.init_from(layer)


@ADAPTERS.register_module()
class ConcatenationHandAdapter(BodyPoseGuided):
    """No. 4 of table 3, "concatenation" of table 5: the decoder's context is the image tokens and, behind them, the joints'.
    At HaMeR's size 8,960 parameters learn here, besides the decoder's."""

    def decode(self, index: int, layer: DecoderLayer, tokens: Tensor, context: Tensor, guidance: Tensor) -> Tensor:
        """The layer on M + J context tokens."""
        return layer(tokens, torch.cat((context, guidance), dim=1))


@ADAPTERS.register_module()
class WeightedSumHandAdapter(BodyPoseGuided):
    """The weighted sum of table 5: each image token and the body's feature, as much of both as a moderator trusts them.

    PIXIE sums two vectors; here one is each of the M image tokens, the other one vector for the whole pose: a linear layer
    over the J joints' numbers side by side, so that their order counts.
    """

    def __init__(self, joints: str = 'arm', context_dim: int = 1280):
        super().__init__(joints, context_dim=context_dim)
        self.moderate = Moderator(context_dim)

    @property
    def numbers(self) -> int:
        return 6 * len(self.joints)

    def describe(self, body_pose: Tensor, seen: Tensor | None = None) -> Tensor:
        """All joints side by side: (B, 22, 3, 3) -> (B, 1, 6 J)."""
        return super().describe(body_pose).flatten(1).unsqueeze(1)

    def decode(self, index: int, layer: DecoderLayer, tokens: Tensor, context: Tensor, guidance: Tensor) -> Tensor:
        """The layer on M summed tokens."""
        return layer(tokens, self.moderate(context, guidance))
