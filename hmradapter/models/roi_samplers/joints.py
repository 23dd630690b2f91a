"""Features of a map at joints. B maps, C channels, N joints."""
import torch.nn.functional as F
from torch import Tensor, nn

from hmradapter.registry import ROI_SAMPLERS


@ROI_SAMPLERS.register_module()
class BilinearJointSampler(nn.Module):
    """Bilinear interpolation between cell centres (integers); zero beyond the map's outermost cells."""

    def forward(self, features: Tensor, points: Tensor) -> Tensor:
        """features (B, C, H, W) at points (B, N, 2), x and y in cells -> (B, N, C)."""
        last = points.new_tensor((features.shape[3] - 1, features.shape[2] - 1))
        grid = (points / last * 2 - 1).unsqueeze(2).to(features.dtype)           # (B, N, 1, 2), -1 and 1 at outermost cells
        return F.grid_sample(features, grid, align_corners=True).squeeze(3).transpose(1, 2)
