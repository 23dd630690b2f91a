"""A person's joints and boxes in the units that the whole-body expert is supervised in. J = 137 joints, the first 65 of a heat
map."""
import torch
from mmcv.transforms import BaseTransform
from torch import Tensor

from hmradapter.geometry.body_frame import BodyFrame
from hmradapter.registry import TRANSFORMS
from hmradapter.structures.joints import WHOLE137_PARTS


@TRANSFORMS.register_module()
class HeatmapTargets(BaseTransform):
    """From pixels of the crop and metres to cells of the body's map.

    Reads: keypoints_2d (J, 3) px of the crop, keypoints_3d (J, 4) m, in_image (J,), part_boxes (3, 4) px of the crop,
        has_part_boxes (3,).
    Adds: heatmap_joints (J, 4): x, y, z in cells and 1 where the joint is labelled and inside the map; boxes (3, 4): centre and
        size in cells, has_boxes (3,); hand_joints (2, 20, 3): x, y of left and right hand in cells and a flag, for the adapter.

    Args:
        frame: fields of `BodyFrame` that differ from the released models'; the same as the head's.
    """

    def __init__(self, frame: dict | None = None):
        self.frame = BodyFrame(**(frame or {}))

    def transform(self, results: dict) -> dict:
        points, depth = results['keypoints_2d'], results['keypoints_3d']
        xy = self.frame.cells_from_crop(points[:, :2])
        labelled = (points[:, 2] > 0).to(xy.dtype)
        # a joint with a label in 2D alone counts as lying at the root's depth: not supervised there, but inside the map
        flat = (labelled > 0) & (depth[:, 3] * depth[0, 3] <= 0)
        z = self.depth_cells(torch.where(flat, 0, depth[:, 2] - depth[0, 2]))
        joints = torch.cat((xy, z.unsqueeze(1)), dim=1)
        seen = labelled * results['in_image'] * self.inside(joints)
        results['heatmap_joints'] = torch.cat((joints, seen.unsqueeze(1)), dim=1)
        results['boxes'], results['has_boxes'] = self.boxes(results['part_boxes'], results['has_part_boxes'])
        results['hand_joints'] = torch.stack([torch.cat((xy[part], (labelled * results['in_image'])[part].unsqueeze(1)), dim=1)
                                              for part in (WHOLE137_PARTS['left_hand'], WHOLE137_PARTS['right_hand'])])
        return results

    def depth_cells(self, depth: Tensor, depth_range: float | None = None) -> Tensor:
        """Metres relative to a root (...) -> cells; the root is the middle one."""
        half = (self.frame.depth_range if depth_range is None else depth_range) / 2
        return (depth / half + 1) / 2 * self.frame.map_size[0]

    def inside(self, joints: Tensor) -> Tensor:
        """1. where joints (..., 3) lie in the body's map, 0. elsewhere."""
        return ((joints >= 0) & (joints < joints.new_tensor(self.frame.map_size[::-1]))).all(-1).to(joints.dtype)

    def boxes(self, corners: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """Boxes (3, 4) x0 y0 x1 y1 in pixels of the crop -> centre and size (3, 4) in cells; a box that is not there is the
        first cell's."""
        low, high = self.frame.cells_from_crop(corners[:, :2]), self.frame.cells_from_crop(corners[:, 2:])
        found = torch.cat(((low + high) / 2, high - low), dim=1)
        nothing = found.new_tensor((0.5, 0.5, 1, 1))
        return torch.where(valid.unsqueeze(1) > 0, found, nothing), valid
