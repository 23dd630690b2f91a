"""3DPW's layout, written: imageFiles/<seq>/image_%05d.jpg and sequenceFiles/<split>/<seq>.pkl (protocol 2, plain arrays).

World frame: metres, z up (3DPW's own is any frame, too); cam_poses lead from it to the moving OpenCV camera. Bodies are SMPL:
24 rotations, gendered betas. The people in these pictures are SMPL-X bodies with flat fingers and a face at rest, which in the
open models are SMPL bodies exactly (smplx2smpl of the rendered mesh against SMPL's: below 0.01 mm, before clothes of some mm).
Unlike 3DPW: hands are always flat, annotations have no error, 60 Hz copies repeat the frames, and there are no clothed scans or
textures (`v_template_clothed` is the naked body, `texture_maps` are grey).
"""
import pickle
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hmradapter.fileio import atomic_write
from hmradapter.synthetic.openpose import COCO18_FROM_SMPLX144, keypoints

SPLITS = ('train', 'validation', 'test')
_LEAST_JOINTS = 6  # with fewer in sight, poses2d of a frame is all zero


@dataclass
class Actor:
    """One person of a sequence, N frames. poses (N, 24, 3) axis-angle, transl (N, 3), betas (10,), joints (N, 24, 3) of SMPL,
    template (V, 3) of the shape: world frame; pixels (N, 144, 2) of SMPLX144."""
    gender: str
    poses: np.ndarray
    transl: np.ndarray
    betas: np.ndarray
    joints: np.ndarray
    template: np.ndarray
    pixels: np.ndarray


def sequence_path(root: Path, split: str, name: str) -> Path:
    """The annotation file."""
    return root / 'sequenceFiles' / split / f'{name}.pkl'


def image_folder(root: Path, name: str) -> Path:
    """Has an image for each frame."""
    return root / 'imageFiles' / name


def image_name(frame: int) -> str:
    """Counts from 0."""
    return f'image_{frame:05d}.jpg'


def write_sequence(root: Path, split: str, name: str, actors: list[Actor], cam_poses: np.ndarray, intrinsics: np.ndarray,
                   valid: np.ndarray, size: tuple[int, int]) -> None:
    """cam_poses (N, 4, 4) world to camera, intrinsics (3, 3), valid (N,) whether a frame's camera is right."""
    count = len(cam_poses)
    content = dict(
        sequence=name, genders=[actor.gender[0] for actor in actors], cam_poses=cam_poses, cam_intrinsics=intrinsics,
        poses=[actor.poses.reshape(count, 72) for actor in actors], trans=[actor.transl.astype(np.float64) for actor in actors],
        betas=[actor.betas.astype(np.float64) for actor in actors], campose_valid=[valid.astype(np.int64) for _ in actors],
        poses2d=[_poses2d(actor, size) for actor in actors], img_frame_ids=np.arange(0, 2 * count, 2),
        jointPositions=[actor.joints.reshape(count, 72).astype(np.float64) for actor in actors],
        poses_60Hz=[np.repeat(actor.poses.reshape(count, 72), 2, axis=0) for actor in actors],
        trans_60Hz=[np.repeat(actor.transl.astype(np.float64), 2, axis=0) for actor in actors],
        betas_clothed=[actor.betas.astype(np.float64) for actor in actors],
        v_template_clothed=[actor.template.astype(np.float64) for actor in actors],
        texture_maps=[np.full((2, 2, 3), 128, np.uint8) for _ in actors])
    with atomic_write(sequence_path(root, split, name)) as file:
        pickle.dump(content, file, protocol=2)


def _poses2d(actor: Actor, size: tuple[int, int]) -> np.ndarray:
    """(N, 3, 18) x, y, confidence of OpenPose's COCO joints."""
    found = np.stack([keypoints(frame, COCO18_FROM_SMPLX144, size) for frame in actor.pixels])
    found[(found[..., 2] > 0).sum(axis=1) < _LEAST_JOINTS] = 0
    return found.swapaxes(1, 2)
