"""Bottleneck adapters (Houlsby et al., ICML 2019; one a layer, as Pfeiffer et al., EACL 2021): beyond the paper.
B crops, T query tokens, J task tokens, D and C their widths."""
from collections.abc import Mapping

from torch import Tensor, nn

from hmradapter.registry import ADAPTERS

from ..heads.attention import DecoderLayer
from ..heads.rotation_heads import BodyRotationHead
from ..heads.smplerx_head import HandMaps
from .adapter import Adapter


class Bottleneck(nn.Sequential):
    """Tokens (..., D) through `width` numbers and back, added to themselves; starts as the identity."""

    def __init__(self, dim: int, width: int):
        super().__init__(nn.Linear(dim, width), nn.GELU(), nn.Linear(width, dim))
        nn.init.zeros_(self[-1].weight)
        nn.init.zeros_(self[-1].bias)

    def forward(self, tokens: Tensor) -> Tensor:
        return tokens + super().forward(tokens)


@ADAPTERS.register_module()
class BottleneckHandAdapter(Adapter):
    """A bottleneck behind each decoder layer. No guidance: what the expert gains from the target domain alone.

    Args:
        width: of the bottlenecks.
        dim, depth: D and number of layers; the estimator fills them in.
    """

    def __init__(self, width: int = 64, dim: int = 1024, depth: int = 6):
        super().__init__()
        self.bottlenecks = nn.ModuleList(Bottleneck(dim, width) for _ in range(depth))

    def decode(self, index: int, layer: DecoderLayer, tokens: Tensor, context: Tensor, guidance: None) -> Tensor:
        """The layer, then its bottleneck."""
        return self.bottlenecks[index](layer(tokens, context))


@ADAPTERS.register_module()
class BottleneckBodyAdapter(Adapter):
    """A bottleneck before the body's regressor, the same for all task tokens. No guidance.

    Args:
        width: of the bottleneck.
        context_dim: C; the estimator fills it in.
    """

    def __init__(self, width: int = 64, context_dim: int = 1280):
        super().__init__()
        self.bottleneck = Bottleneck(context_dim, width)

    def regress(self, regressor: BodyRotationHead, tokens: Tensor, positions: Tensor, hands: HandMaps,
                guidance: Mapping[str, Tensor] | None) -> Tensor:
        """The regressor on changed tokens."""
        return regressor(self.bottleneck(tokens), positions)
