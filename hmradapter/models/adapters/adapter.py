"""What an adapter is to an expert. B crops, T query tokens, M context tokens, J body joints, D and C widths of both kinds."""
from collections.abc import Mapping

from torch import Tensor, nn

from ..heads.attention import DecoderLayer
from ..heads.rotation_heads import BodyRotationHead
from ..heads.smplerx_head import HandMaps


class Adapter(nn.Module):
    """Stands in for pieces of an expert: the expert hands it the piece and what goes in, and takes what comes out.

    This class runs each piece as it is. A subclass overrides the piece that it changes, and calls the frozen one from there;
    whether it adds an update, lengthens the context or sums features is nobody else's business.

    | piece | expert | what may change |
    |---|---|---|
    | `see` | both | the backbone's features |
    | `decode` | hand | one decoder layer, once for each |
    | `regress` | whole body | the body's pose |
    """
    in_backbone = False        # True where `see` holds what learns: gradients then go through the frozen backbone
    reads_orientation = False  # True where `encode` wants to know how the expert alone sees the hand turned

    def init_from(self, expert: nn.Module) -> None:
        """Called once, with the estimator, when it has its weights and nothing is frozen yet."""

    def see(self, backbone: nn.Module, images: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Images (B, 3, H, W) to what the backbone gives."""
        return backbone(images)

    def encode(self, body_pose: Tensor, has_body_pose: Tensor, seen: Tensor | None = None) -> Tensor | None:
        """What guides a hand: body_pose (B, 22, 3, 3), the root in the camera frame, and its flag (B,) to tokens; None where
        nothing does. seen (B, 3, 3): the hand's global orientation by the expert alone, where `reads_orientation`."""
        return None

    def decode(self, index: int, layer: DecoderLayer, tokens: Tensor, context: Tensor, guidance: Tensor | None) -> Tensor:
        """Decoder layer `index`: tokens (B, T, D), image tokens (B, M, C) and what `encode` gave to tokens (B, T, D)."""
        return layer(tokens, context)

    def regress(self, regressor: BodyRotationHead, tokens: Tensor, positions: Tensor, hands: HandMaps,
                guidance: Mapping[str, Tensor] | None) -> Tensor:
        """The body's regressor: task tokens (B, J, C), joints (B, J, 3) in cells and all that is known of the hands to pose6d
        (B, 132), root first."""
        return regressor(tokens, positions)
