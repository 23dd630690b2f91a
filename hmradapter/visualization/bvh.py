"""Motion as BVH, the skeleton format of animation programs: one person a file.

Convention: metres (Blender's scale 1; `scale=100` writes centimetres, which is what Maya and MotionBuilder expect), degrees,
frame of `mesh_files` (x right, y up, z towards the viewer). The hierarchy is the motion's own resting body, T-pose, facing +z.
The root stands at the origin of the hierarchy and has six channels, its place is absolute; all others have three. A channel
order "Zrotation Xrotation Yrotation" means R = Rz Rx Ry on columns. Expressions and the mesh do not travel. Blender counts
the file's first frame as its frame 1.
"""
import dataclasses
from pathlib import Path

import numpy as np
import roma
import torch

from hmradapter.body_models import SMPLXLayer
from hmradapter.body_models.open_model.skeleton import JOINT_NAMES
from hmradapter.fileio import atomic_write
from hmradapter.visualization.motion import Motion, RestBody, viewer_root

ORDER = 'ZXY'
_PLACES = ('Xposition', 'Yposition', 'Zposition')
_LOCKED = 1e-6  # cosine of the middle angle below which the outer two turn about one axis: only z + y, or z - y, counts
_TIP = 0.5  # a last bone's length, as a share of the bone before it


@dataclasses.dataclass(frozen=True)
class BvhMotion:
    """What a BVH file holds: names (J,), parents (J,) with -1 at the root, offsets (J, 3), rotations (F, J, 3, 3)
    parent-relative, places (F, 3) of the root, seconds per frame. Lengths in the file's unit."""
    names: tuple[str, ...]
    parents: tuple[int, ...]
    offsets: np.ndarray
    rotations: np.ndarray
    places: np.ndarray
    frame_time: float

    def joints(self) -> np.ndarray:
        """Positions (F, J, 3) of all joints."""
        turns, joints = [], []
        for joint, parent in enumerate(self.parents):
            if parent < 0:
                turns.append(self.rotations[:, joint])
                joints.append(self.places)
            else:
                turns.append(turns[parent] @ self.rotations[:, joint])
                joints.append(joints[parent] + turns[parent] @ self.offsets[joint])
        return np.stack(joints, axis=1)


def write_bvh(path: str | Path, motion: Motion, layer: SMPLXLayer, fps: float | None = None, scale: float = 1.0) -> None:
    """Write a motion as BVH, atomically, at a steady rate (default: the motion's); gaps are filled by shortest turns.

    scale: file units per metre."""
    if not (np.isfinite(scale) and scale > 0):
        raise ValueError(f'scale is {scale!r}: file units per metre above 0 are needed (1 for Blender, 100 for centimetres).')
    steady = motion.at_rate(fps)
    rest = RestBody.of(motion, layer)
    rotations = steady.rotations
    rotations[:, 0], places = viewer_root(steady, rest)
    order = _depth_first(rest.parents)
    degrees = euler_degrees(rotations[:, order]).reshape(len(steady), -1)
    lines = [*_hierarchy(rest, scale), 'MOTION', f'Frames: {len(steady)}', f'Frame Time: {steady.interval:.9g}']
    rows = np.concatenate([places * scale, degrees], axis=1)
    with atomic_write(path, 'w') as file:
        file.write('\n'.join(lines) + '\n')
        np.savetxt(file, rows, fmt='%.6f')


def read_bvh(path: str | Path) -> BvhMotion:
    """A BVH file of any channel order; a ValueError names what it lacks."""
    words = Path(path).read_text(encoding='utf-8').split()
    try:
        names, parents, offsets, channels, at = _read_hierarchy(words)
        frames, frame_time = _read_header(words[at:at + 6])
        numbers = np.array(words[at + 6:], np.float64)
    except (IndexError, ValueError) as error:
        raise ValueError(f'{path} is no BVH file that can be read ({error}): HIERARCHY, MOTION, Frames:, Frame Time: and '
                         'numbers are needed.') from error
    width = sum(map(len, channels))
    if numbers.size != frames * width or not np.isfinite(numbers).all():
        raise ValueError(f'{path} should hold {frames} frames of {width} finite numbers, but it has {numbers.size} numbers: '
                         'write it again.')
    rows = iter(numbers.reshape(frames, width).T)
    offsets = np.array(offsets)
    places, rotations = np.tile(offsets[0], (frames, 1)), []
    for joint, kinds in enumerate(channels):
        values = {kind: next(rows) for kind in kinds}
        for axis, kind in enumerate(_PLACES):
            if kind in values and joint == 0:
                places[:, axis] = values[kind]
        turning = [kind for kind in kinds if kind.endswith('rotation')]
        angles = torch.from_numpy(np.stack([values[kind] for kind in turning], axis=-1))
        rotations.append(roma.euler_to_rotmat(''.join(kind[0] for kind in turning), angles, degrees=True).numpy())
    return BvhMotion(tuple(names), tuple(parents), offsets, np.stack(rotations, axis=1), places, frame_time)


def euler_degrees(rotations: np.ndarray) -> np.ndarray:
    """Rotations (F, J, 3, 3) as angles (F, J, 3) in degrees of R = Rz Rx Ry, each frame's written as near to the frame before
    as can be: of the two triples and all full turns that mean the same rotation, and of all splits in gimbal lock."""
    matrices = torch.from_numpy(np.ascontiguousarray(rotations))
    one = roma.rotmat_to_euler(ORDER, matrices, degrees=True, epsilon=1e-9).numpy()
    other = one * (1, -1, 1) + 180.0
    result = np.empty_like(one)
    result[0] = one[0]
    for frame in range(1, len(one)):
        tries = np.stack([one[frame], other[frame]])
        tries -= 360 * np.round((tries - result[frame - 1]) / 360)
        best = np.abs(tries - result[frame - 1]).sum(-1).argmin(0)
        result[frame] = np.where(best[:, None] == 0, *tries)
        _share_locked(result[frame], result[frame - 1])
    return result


def _share_locked(angles: np.ndarray, before: np.ndarray) -> None:
    """In gimbal lock, share the turn since the frame before equally between z and y; angles (J, 3), changed in place."""
    locked = np.abs(np.cos(np.radians(angles[:, 1]))) < _LOCKED
    sign = np.sign(np.sin(np.radians(angles[:, 1])))
    turned = (angles - before)[:, 0] + sign * (angles - before)[:, 2]
    turned -= 360 * np.round(turned / 360)
    shared = before[:, [0, 2]] + turned[:, None] / 2 * np.stack([np.ones_like(sign), sign], axis=1)
    angles[:, [0, 2]] = np.where(locked[:, None], shared, angles[:, [0, 2]])


def _depth_first(parents: tuple[int, ...]) -> list[int]:
    """Joints in the order in which the file's hierarchy, and so its channels, name them."""
    order, waiting = [], [0]
    while waiting:
        order.append(waiting.pop())
        waiting += [joint for joint in reversed(range(len(parents))) if parents[joint] == order[-1]]
    return order


def _hierarchy(rest: RestBody, scale: float) -> list[str]:
    lines = ['HIERARCHY']

    def describe(joint: int, depth: int) -> None:
        parent, indent = rest.parents[joint], '\t' * depth
        offset = (rest.joints[joint] - rest.joints[parent]) * scale if depth else np.zeros(3)
        rotations = [f'{axis}rotation' for axis in ORDER]
        kinds = rotations if depth else [*_PLACES, *rotations]
        lines.extend([f'{indent}{"JOINT" if depth else "ROOT"} {JOINT_NAMES[joint]}', f'{indent}{{',
                      f'{indent}\tOFFSET {_numbers(offset)}', f'{indent}\tCHANNELS {len(kinds)} {" ".join(kinds)}'])
        children = [child for child, above in enumerate(rest.parents) if above == joint]
        for child in children:
            describe(child, depth + 1)
        if not children:
            lines.extend([f'{indent}\tEnd Site', f'{indent}\t{{', f'{indent}\t\tOFFSET {_numbers(_TIP * offset)}',
                          f'{indent}\t}}'])
        lines.append(f'{indent}}}')
    describe(0, 0)
    return lines


def _numbers(values: np.ndarray) -> str:
    return ' '.join(f'{value:.6f}' for value in values)


def _read_hierarchy(words: list[str]) -> tuple[list, list, list, list, int]:
    """Names, parents, offsets, channels, and where MOTION stands."""
    names, parents, offsets, channels, open_joints, at = [], [], [], [], [], 0
    while words[at] != 'MOTION':
        word = words[at]
        at += 1
        if word in ('ROOT', 'JOINT'):
            parents.append(open_joints[-1] if open_joints else -1)
            open_joints.append(len(names))
            names.append(words[at])
            at += 2  # the name and {
        elif word == 'End':
            at += 7  # Site { OFFSET x y z }
        elif word == '}':
            open_joints.pop()
        elif word == 'OFFSET':
            offsets.append([float(number) for number in words[at:at + 3]])
            at += 3
        elif word == 'CHANNELS':
            count = int(words[at])
            channels.append(words[at + 1:at + 1 + count])
            at += 1 + count
    if not names or not len(names) == len(offsets) == len(channels):
        raise ValueError(f'{len(names)} joints with {len(offsets)} offsets and {len(channels)} channel lines')
    return names, parents, offsets, channels, at


def _read_header(words: list[str]) -> tuple[int, float]:
    """Frames and seconds per frame from MOTION Frames: n Frame Time: t."""
    if words[1] != 'Frames:' or words[3:5] != ['Frame', 'Time:']:
        raise ValueError(f'after MOTION stands {" ".join(words[1:])!r}')
    return int(words[2]), float(words[5])
