"""Samples back on their true side: the network sees right hands only, outputs are never mirrored."""
import torch

from hmradapter.geometry import mirror
from hmradapter.structures import HMRDataSample

FIELD_MIRRORS = dict(
    global_orient=mirror.mirror_rotmat, hand_pose=mirror.mirror_rotmat, body_pose=mirror.mirror_body_pose,
    keypoints_3d=mirror.mirror_points, keypoints_2d=mirror.mirror_points, vertices=mirror.mirror_points,
    cam=mirror.mirror_camera, cam_t=mirror.mirror_points)


def unmirror(batch: HMRDataSample) -> HMRDataSample:
    """A batch in the network's right-hand frame to the same batch on the true side: every field of gt, guidance and pred that
    has a side is mirrored where `crop.is_right` is 0. `pred.cam` then belongs to the unmirrored crop."""
    batch = batch.map(lambda tensor: tensor)
    is_left = batch.crop.is_right < 0.5
    for group in ('gt', 'guidance', 'pred'):
        if group not in batch:
            continue
        fields = batch.get(group)
        for field in fields.keys() & FIELD_MIRRORS.keys():
            value = fields.get(field)
            where = is_left.view(-1, *[1] * (value.dim() - 1))
            fields.set_data({field: torch.where(where, FIELD_MIRRORS[field](value), value)})
    return batch
