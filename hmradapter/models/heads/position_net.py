"""Joints as heat maps: SMPLer-X's position nets. B crops, J joints, C channels, (D, H, W) cells."""
from torch import Tensor, nn

from hmradapter.registry import HEADS

from .soft_argmax import soft_argmax


@HEADS.register_module()
class PositionNet(nn.Module):
    """A feature map to a volume of probability for each joint, and its expected cell.

    Args:
        context_dim: C.
        joints: J, 25 for the body and 20 for a hand.
        depth: D.
    """

    def __init__(self, context_dim: int = 1280, joints: int = 25, depth: int = 16):
        super().__init__()
        self.joints, self.depth = joints, depth
        self.conv = nn.Conv2d(context_dim, joints * depth, 1)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """features (B, C, H, W) -> volumes (B, J, D, H, W), which sum to 1, and joints (B, J, 3) as x, y, z in cells."""
        return soft_argmax(self.conv(features).unflatten(1, (self.joints, self.depth)))
