"""A moving person for tests of motion files: every joint turns, past half turns too."""
import numpy as np
import torch

from hmradapter.geometry.rotations import axis_angle_to_rotmat
from hmradapter.visualization.motion import Motion

COUNTS = {'body_pose': 21, 'left_hand_pose': 15, 'right_hand_pose': 15, 'jaw_pose': 1}


def waving(frames: int = 24, seed: int = 0, start: float = 0.0, name: str = 'person', size: float = 0.35, **fields) -> Motion:
    """At 25 frames a second; the whole body goes around an oblique axis by 12 degrees a frame."""
    rng = np.random.default_rng(seed)
    times = start + np.arange(frames) / 25

    def turns(rotvecs):
        return axis_angle_to_rotmat(torch.from_numpy(rotvecs)).numpy()

    def swing(count):
        wave = np.sin(2 * times[:, None, None] * rng.uniform(1, 4, (1, count, 1)) + rng.uniform(0, 6, (1, count, 1)))
        return turns(size * rng.normal(size=(1, count, 3)) * (0.6 + wave))
    pose = {part: swing(count) for part, count in COUNTS.items()}
    pose['jaw_pose'] = pose['jaw_pose'][:, 0]
    upright = np.array([np.pi, 0, 0])
    spin = turns(upright)[None] @ turns(0.21 * np.arange(frames)[:, None] * np.array([0.2, 0.95, -0.24]))
    place = np.stack([0.3 * np.sin(times), 0.1 * times, 3 + 0.2 * times], axis=1)
    motion = dict(pose, times=times, global_orient=spin, betas=rng.normal(size=10), expression=np.zeros((frames, 10)),
                  translation=place, name=name)
    return Motion(**(motion | fields))


def layer_output(layer, motion: Motion):
    """Vertices and joints of SMPL-X for the motion, in the camera frame."""
    def batch(x, *shape):
        return torch.from_numpy(x).float().view(len(motion), *shape)
    with torch.no_grad():
        return layer(global_orient=batch(motion.global_orient, 1, 3, 3), jaw_pose=batch(motion.jaw_pose, 1, 3, 3),
                     **{part: batch(getattr(motion, part), -1, 3, 3) for part in ('body_pose', 'left_hand_pose',
                                                                                 'right_hand_pose')},
                     betas=torch.from_numpy(motion.betas).float()[None], expression=batch(motion.expression, -1),
                     transl=batch(motion.translation, 3))
