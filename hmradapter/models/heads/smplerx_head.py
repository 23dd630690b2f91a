"""All of SMPLer-X behind its encoder: body, boxes, hands, face. B crops, C channels, H x W cells of the body's map, S a hand's.

Sources: SMPLer-X `main/SMPLer_X.py`, `common/nets/smpler_x.py`; gradient stops as there.
"""
from typing import NamedTuple

import torch
from torch import Tensor, nn

from hmradapter.geometry.body_frame import BodyFrame
from hmradapter.registry import HEADS

BODY_JOINTS, HAND_JOINTS = 25, 20
SHAPE, CAMERA, EXPRESSION, JAW, BODY = 0, 1, 2, 3, slice(6, 6 + BODY_JOINTS)  # roles of the task tokens


class HandMaps(NamedTuple):
    """What the head knows of the hands; rows are B left hands, mirrored, then B right hands.

    features (2 B, C, S, S); projected (2 B, F, S, S), what the rotation head samples; joints (2 B, 20, 3) in cells of the map;
    boxes (B, 2, 4) of left and right hand, pixels of the encoder's crop."""
    features: Tensor
    projected: Tensor
    joints: Tensor
    boxes: Tensor


@HEADS.register_module()
class SMPLerXHead(nn.Module):
    """Feature map and task tokens to SMPL-X parameters, heat-map joints and boxes. Its parts are configs of HEADS.

    `sizes` is what an adapter has to know.

    Args:
        context_dim: C, handed to the parts.
        frame: fields of `BodyFrame` that differ from the released models'.
        body_position, body_rotation, boxes, hand_roi, hand_position, hand_rotation, face: the parts; their defaults are
            SMPLer-X's.
    """

    def __init__(self, context_dim: int = 1280, frame: dict | None = None, body_position: dict | None = None,
                 body_rotation: dict | None = None, boxes: dict | None = None, hand_roi: dict | None = None,
                 hand_position: dict | None = None, hand_rotation: dict | None = None, face: dict | None = None):
        super().__init__()
        self.frame = BodyFrame(**(frame or {}))
        depth, hand_depth = self.frame.map_size[0], self.frame.hand_map_size[0]

        def build(config: dict | None, kind: str, **sizes) -> nn.Module:
            return HEADS.build(dict(dict(type=kind), **(config or {})), default_args=sizes)

        self.body_position = build(body_position, 'PositionNet', context_dim=context_dim, joints=BODY_JOINTS, depth=depth)
        self.body_rotation = build(body_rotation, 'BodyRotationHead', context_dim=context_dim, joints=BODY_JOINTS)
        self.boxes = build(boxes, 'BoxHead', in_channels=context_dim + BODY_JOINTS * depth)
        self.hand_roi = build(hand_roi, 'HandRoI', context_dim=context_dim,
                              sampler=dict(type='RoIAlign', size=self.frame.hand_map_size[2]))
        self.hand_position = build(hand_position, 'PositionNet', context_dim=context_dim, joints=HAND_JOINTS, depth=hand_depth)
        self.hand_rotation = build(hand_rotation, 'HandRotationHead', context_dim=context_dim, joints=HAND_JOINTS)
        self.face = build(face, 'FaceHead', context_dim=context_dim)
        self.sizes = dict(context_dim=context_dim, feature_dim=self.hand_rotation.project[0].out_channels, frame=self.frame)
        self.apply(_init_weights)

    def forward(self, features: Tensor, tokens: Tensor, adapter: nn.Module | None = None,
                guidance: dict[str, Tensor] | None = None) -> dict[str, Tensor]:
        """features (B, C, H, W) and task tokens (B, 31, C) to raw readouts:

        root6d (B, 6), body6d (B, 126), jaw6d (B, 6), hand6d (2 B, 90), interleaved rot6d; betas, expression (B, 10), cam (B,
        3); body_joints (B, 25, 3) in cells of the body's map, hand_joints (2 B, 20, 3) in cells of the hands'; box_centers and
        box_sizes (B, 3, 2), cells; boxes (B, 3, 4), pixels of the encoder's crop; box order left hand, right hand, face. Left
        hands come first and mirrored.

        `adapter.regress(body_rotation, tokens, positions, hands, guidance)` stands in for the body's regressor."""
        volumes, body_joints = self.body_position(features)
        raw = self.body_rotation.shape_and_camera(tokens[:, SHAPE], tokens[:, CAMERA])
        raw.update(self.face(tokens[:, EXPRESSION], tokens[:, JAW]))
        centers, sizes, _ = self.boxes(features, volumes)
        boxes = self._restore(centers.detach(), sizes.detach())
        hands = self._hands(features, boxes[:, :2])
        hand6d, projected = self.hand_rotation(hands, joints := self.hand_position(hands)[1])
        if adapter is None:
            pose6d = self.body_rotation(tokens[:, BODY], body_joints)
        else:
            maps = HandMaps(hands, projected, joints, boxes[:, :2])
            pose6d = adapter.regress(self.body_rotation, tokens[:, BODY], body_joints, maps, guidance)
        return dict(raw, root6d=pose6d[:, :6], body6d=pose6d[:, 6:], hand6d=hand6d, body_joints=body_joints,
                    hand_joints=joints, box_centers=centers, box_sizes=sizes, boxes=boxes)

    def _restore(self, centers: Tensor, sizes: Tensor) -> Tensor:
        """Centres and sizes (B, 3, 2) in cells to padded square boxes (B, 3, 4), pixels."""
        hands = self.frame.restore_boxes(centers[:, :2], sizes[:, :2], self.frame.hand_box_scale)
        return torch.cat((hands, self.frame.restore_boxes(centers[:, 2:], sizes[:, 2:], self.frame.face_box_scale)), dim=1)

    def _hands(self, features: Tensor, boxes: Tensor) -> Tensor:
        """boxes (B, 2, 4), pixels -> hands' maps (2 B, C, S, S)."""
        return self.hand_roi(features, boxes / boxes.new_tensor(2 * self.frame.cell))


def _init_weights(module: nn.Module) -> None:
    """SMPLer-X's: narrow normal distributions, zero biases."""
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
        nn.init.normal_(module.weight, std=0.01 if isinstance(module, nn.Linear) else 0.001)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
