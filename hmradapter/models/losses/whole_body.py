"""SMPLer-X's losses and the paper's for the whole body (eq. 7 and 8): elementwise L1, and what is compared with what.

B samples, N joints. Units of 2D joints: cells of the body's heat map, or of a hand's once they were moved into its box.
Source: SMPLer-X `common/nets/loss.py`, `main/SMPLer_X.py`.
"""
from collections.abc import Callable

import torch
from torch import Tensor

from hmradapter.geometry.body_frame import BodyFrame
from hmradapter.registry import LOSSES
from hmradapter.structures.joints import HEATMAP65, WHOLE137_PARTS, WHOLE137_ROOTS

from .base import SampleLoss

HANDS = ('left_hand', 'right_hand')


@LOSSES.register_module()
class MaskedL1Loss(SampleLoss):
    """|pred - target| of labelled entries, averaged over all of a sample's entries: those without a label count as zeros.

    With reduction 'mean' it is SMPLer-X's plain mean over batch and entries. `valid` may be (B,) or anything that broadcasts to
    the entries."""

    def __init__(self, weight: float = 1.0, reduction: str = 'mean'):
        super().__init__(weight, reduction)

    def entries(self, pred: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Error of each entry, unweighted, with the shape of pred."""
        valid = valid.view(*valid.shape, *[1] * (pred.dim() - valid.dim())).expand_as(pred)
        labelled = valid > 0
        return torch.where(labelled, valid, 0) * torch.where(labelled, pred - target, 0).abs()

    def per_sample(self, pred: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Mean over a sample's entries, (B,)."""
        return self.entries(pred, target, valid).flatten(1).mean(1)


@LOSSES.register_module()
class BoxL1Loss(MaskedL1Loss):
    """Boxes (B, 2, 2), centre and size: the error of both is added before the mean over x and y."""

    def entries(self, pred: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Error in x and y, unweighted, (B, 2)."""
        return super().entries(pred, target, valid).sum(1)


def move_hands_into_boxes(joints: Tensor, seen: Tensor, boxes: Tensor, frame: BodyFrame) -> tuple[Tensor, Tensor]:
    """Hand joints of the body's map in cells of the (predicted) hand boxes, where heat maps of hands are compared.

    joints (B, N, 2 or 3), N = 137 or 65, in cells; seen (B, N) their flags; boxes (B, 2, 4) of left and right hand, pixels of
    the encoder's crop -> both, with hand joints moved and the flags of those outside of their box off. Inputs stay as they
    are. In a box without width or height nothing is seen."""
    joints, seen = joints.clone(), seen.clone()
    hand_depth, height, width = frame.hand_map_size
    whole = boxes.new_tensor((0, 0, *frame.img_size[::-1]))
    for side, box in zip(HANDS, boxes.unbind(1), strict=True):
        part = WHOLE137_PARTS[side]
        # an untrained expert's box can be a line: joints in its cells are infinite, and masked infinities have NaN gradients
        is_line = (box[:, 2:] == box[:, :2]).any(dim=1, keepdim=True)
        box = torch.where(is_line, whole, box)
        xy = frame.cells_in_box(joints[:, part, :2], box)
        depth = joints[:, part, 2:] * (hand_depth / frame.map_size[0])
        joints[:, part] = torch.cat((xy, depth), dim=2)
        inside = ((xy >= 0) & (xy < xy.new_tensor((width, height)))).all(dim=2)
        seen[:, part] = seen[:, part] * (inside & ~is_line)
    return joints, seen


def align_parts(projected: Tensor, target: Tensor, seen: Tensor) -> Tensor:
    """Projected joints (B, 137, 2) with each hand and the face shifted onto its target by the mean over seen joints: of a part
    only the shape is supervised, not the place. target (B, 137, 2 or 3), seen (B, 137). A part that is not seen stays."""
    parts = [projected[:, WHOLE137_PARTS['body']]]
    for name in (*HANDS, 'face'):
        part = WHOLE137_PARTS[name]
        known = (seen[:, part] == 1).unsqueeze(2)
        difference = torch.where(known, target[:, part, :2] - projected[:, part], 0)
        shift = difference.sum(1, keepdim=True) / known.sum(1, keepdim=True).clamp(min=1)
        parts.append(projected[:, part] + shift)
    return torch.cat(parts, dim=1)


def part_relative(joints: Tensor) -> Tensor:
    """Joints (B, 137, 3) m, the body's relative to the pelvis, a hand's to its wrist, the face's to the neck."""
    return torch.cat([joints[:, part] - joints[:, WHOLE137_ROOTS[name]].unsqueeze(1) for name, part in WHOLE137_PARTS.items()],
                     dim=1)


def whole_body_terms(pred: dict[str, Tensor], target: dict[str, Tensor], frame: BodyFrame) -> dict[str, Callable[[], tuple]]:
    """(prediction, target, valid) of each loss by name, made when it is called for.

    pred: pose (B, 53, 3), betas, expression (B, 10), keypoints_3d (B, 137, 3) m, keypoints_2d (B, 137, 2) cells, body_joints
        (B, 25, 3) cells, hand_joints (B, 2, 20, 3) cells of the hands' boxes, boxes (B, 3, 4) px, box_centers, box_sizes
        (B, 3, 2) cells, in the order left hand, right hand, face. For rotations (not SMPLer-X's: axis-angle jumps at half a
        turn, where a person facing the camera is) global_orient (B, 1, 3, 3), body_pose (B, 21, 3, 3); for keypoint_map
        features (B, C, H, W), the encoder's.
    target: the same names; pose_valid (B, 53, 3), has_betas, has_expression (B,); keypoints_3d relative to the pelvis,
        keypoints_3d_valid and has_depth (B, 137); part_keypoints_3d relative to their part's root, part_keypoints_3d_valid;
        heatmap_joints (B, 137, 3) cells of the body's map and heatmap_joints_seen (B, 137); box_centers, box_sizes, has_boxes
        (B, 3). The terms smplx_* want smplx_heatmap_joints and smplx_heatmap_joints_seen.
    """
    has_depth = target['has_depth'][:, :HEATMAP65, None]

    def boxes(part: int) -> tuple:
        found, true = (torch.stack((where['box_centers'][:, part], where['box_sizes'][:, part]), dim=1)
                       for where in (pred, target))
        return found, true, target['has_boxes'][:, part]

    def projection() -> tuple:
        everywhere = torch.ones_like(pred['keypoints_2d'][..., 0])
        found, _ = move_hands_into_boxes(pred['keypoints_2d'], everywhere, pred['boxes'][:, :2], frame)
        true, seen = move_hands_into_boxes(target['heatmap_joints'], target['heatmap_joints_seen'], pred['boxes'][:, :2], frame)
        return align_parts(found, true, seen), true[..., :2], seen

    def rotations() -> tuple:
        found, true = (torch.cat((where['global_orient'], where['body_pose']), dim=1) for where in (pred, target))
        return found, true, target['pose_valid'][:, :found.shape[1]].flatten(1).amin(1)

    def in_crop() -> Tensor:
        """Heat-map joints in shares of the crop's sides around its middle, with their flag, (B, 65, 3)."""
        joints = target['heatmap_joints'][:, :HEATMAP65, :2]
        seen = target['heatmap_joints_seen'][:, :HEATMAP65, None]
        return torch.cat((joints / joints.new_tensor(frame.map_size[:0:-1]) - 0.5, seen), dim=2)

    def heat_maps(name: str, depth_flag: Tensor) -> tuple:
        true, seen = move_hands_into_boxes(target[name], target[f'{name}_seen'], pred['boxes'][:, :2], frame)
        found = torch.cat((pred['body_joints'], pred['hand_joints'].flatten(1, 2)), dim=1)
        seen = seen[:, :HEATMAP65].unsqueeze(2)
        return found, true[:, :HEATMAP65], torch.cat((seen, seen, seen * depth_flag), dim=2)

    return dict(
        pose=lambda: (pred['pose'], target['pose'], target['pose_valid']),
        rotations=rotations,
        betas=lambda: (pred['betas'], target['betas'], target['has_betas']),
        expression=lambda: (pred['expression'], target['expression'], target['has_expression']),
        joints_3d=lambda: (pred['keypoints_3d'] - pred['keypoints_3d'][:, :1], target['keypoints_3d'],
                           target['keypoints_3d_valid'] * target['has_depth']),
        part_joints_3d=lambda: (part_relative(pred['keypoints_3d']), target['part_keypoints_3d'],
                                target['part_keypoints_3d_valid']),
        left_hand_box=lambda: boxes(0), right_hand_box=lambda: boxes(1), face_box=lambda: boxes(2),
        joints_proj=projection,
        keypoint_map=lambda: (pred['features'], in_crop(), torch.ones_like(target['heatmap_joints_seen'][:, 0])),
        joints_img=lambda: heat_maps('heatmap_joints', has_depth),
        smplx_joints_img=lambda: heat_maps('smplx_heatmap_joints', torch.ones_like(has_depth)))
