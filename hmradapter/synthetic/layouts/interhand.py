"""InterHand2.6M's layout, written: images/<split>/Capture<k>/<sequence>/cam<id>/image<frame>.jpg and the four annotation files.

World frame of a capture. Cameras and joints are in millimetres (X_c = camrot (X - campos)), MANO in metres, fingers residual;
42 joints, right before left, of each hand tips first and wrist last. Keys are text. Every frame is seen by two cameras: an
upright one, and a lying, grey one at the same place, rolled by a quarter turn. Joints lie some millimetres off the hand
model's, as InterHand's do; what is not labelled is zero. Unlike InterHand, pictures are rendered and frames are no motion.
Source: facebookresearch/InterHand2.6M `README`, `data/InterHand2.6M/dataset.py`, `tool/MANO_world_to_camera/convert.py`.
"""
import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from hmradapter.synthetic.layouts.shots import Hand, Shot, read_hand_space, take_hand_shots, to_world

SIZE = (334, 512)
UPRIGHT, LYING = 400262, 410028
HAND_TYPES = dict(right=('right',), left=('left',), interacting=('left', 'right'))
JOINTS = 42
_WRISTS = (20, 41)
_FIRST = dict(right=0, left=21)
# Of each hand in the files: thumb 4..1, index 4..1, middle, ring, pinky, wrist; as numbers of HAND21.
_ORDER = (4, 3, 2, 1, 8, 7, 6, 5, 12, 11, 10, 9, 16, 15, 14, 13, 20, 19, 18, 17, 0)
_JOINT_NOISE = 0.002   # metres
_BOX_MARGIN = 10       # px around the joints
_ROLL = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])  # what is right in the upright picture is at the bottom of the lying one


class Frame(NamedTuple):
    """A frame and what is planted in it. lost: sides whose MANO is null, or 'all': there is no entry; unknown: joints, of 42,
    that joint_3d does not have; data.json knows so of wrists only."""
    capture: int
    sequence: str
    number: int
    hand_type: str
    lost: tuple[str, ...] = ()
    unknown: tuple[int, ...] = ()


SPLITS = dict(
    train=(Frame(0, '0390_dh_touchROM', 17, 'interacting'), Frame(0, '0390_dh_touchROM', 20, 'interacting', lost=('left',)),
           Frame(0, '0390_dh_touchROM', 23, 'interacting', unknown=(41, 3)), Frame(0, 'ROM03_RT_No_Occlusion', 90, 'right'),
           Frame(3, 'ROM03_LT_No_Occlusion', 17, 'left'), Frame(3, 'ROM03_LT_No_Occlusion', 20, 'left', lost=('all',))),
    val=(Frame(0, '0000_neutral_rigid', 5, 'right'),),
    test=(Frame(1, '0007_thumbup_normal', 2017, 'interacting'),))


def write_interhand(root, body_model_root, seed: int = 0, splits: Sequence[str] = tuple(SPLITS)) -> dict[str, dict]:
    """Write the frames of SPLITS; return {key of the image: hands {side: dict of vertices (V, 3), joints (21, 3), known (21,),
    has_mano} in the camera, K (3, 3), size (W, H)}, metres and pixels."""
    truth = {}
    for split in splits:
        truth |= _Writer(Path(root), split, body_model_root, seed).write()
    return truth


class _Writer:
    """One split: what its files hold so far, and the truth of its images."""

    def __init__(self, root: Path, split: str, body_model_root, seed: int):
        self.root, self.split, self.models, self.seed = root, split, body_model_root, seed
        self.rng = np.random.default_rng([seed, *split.encode()])
        self.spaces = {side: read_hand_space(body_model_root, side) for side in _FIRST}
        self.data, self.cameras, self.joints, self.mano, self.truth = dict(images=[], annotations=[]), {}, {}, {}, {}

    def write(self) -> dict[str, dict]:
        for capture in sorted({frame.capture for frame in SPLITS[self.split]}):
            frames = [frame for frame in SPLITS[self.split] if frame.capture == capture]
            K, rotation, position = self._cameras(capture)
            kinds, shots = [frame.hand_type for frame in frames], {}
            for kind in set(kinds):
                taken = take_hand_shots(self.models, kinds.count(kind), SIZE, HAND_TYPES[kind], self.seed + capture, K=K)
                shots[kind] = iter(taken)
            for frame in frames:
                self._add(frame, next(shots[frame.hand_type]), rotation, position)
        folder = self.root / 'annotations' / self.split
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in dict(data=self.data, camera=self.cameras, joint_3d=self.joints,
                                  MANO_NeuralAnnot=self.mano).items():
            (folder / f'InterHand2.6M_{self.split}_{name}.json').write_text(json.dumps(content))
        return self.truth

    def _cameras(self, capture: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """K (3, 3), rotation (3, 3) and place (3,), metres, of the capture's upright camera; both are noted."""
        fx, fy, cx, cy = np.array([700.0, 702.0, 155.8, 258.8]) + self.rng.uniform(-3, 3, 4)
        rotation = Rotation.from_rotvec(self.rng.normal(0, 1, 3)).as_matrix()
        position = self.rng.normal(0, 0.5, 3)
        fields = {name: {} for name in ('campos', 'camrot', 'focal', 'princpt')}
        for camera, turned, focal, center in ((UPRIGHT, rotation, (fx, fy), (cx, cy)),
                                              (LYING, _ROLL @ rotation, (fy, fx), (SIZE[1] - 1 - cy, cx))):
            for name, value in dict(campos=1000 * position, camrot=turned, focal=focal, princpt=center).items():
                fields[name][str(camera)] = np.asarray(value).tolist()
        self.cameras[str(capture)] = fields
        return np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]]), rotation, position

    def _add(self, frame: Frame, shot: Shot, rotation: np.ndarray, position: np.ndarray) -> None:
        hands = {side: shot.figures[0].hands[side] for side in HAND_TYPES[frame.hand_type]}
        joints = {side: hand.keypoints + self.rng.normal(0, _JOINT_NOISE, (21, 3)) for side, hand in hands.items()}
        points, there, valid = np.zeros((JOINTS, 3)), np.zeros((JOINTS, 1), int), np.zeros((JOINTS, 1), int)
        for side, first in _FIRST.items():
            if side in hands:
                points[first:first + 21] = 1000 * (joints[side][list(_ORDER)] @ rotation + position)
                there[first:first + 21] = valid[first:first + 21] = 1
        points[list(frame.unknown)], valid[list(frame.unknown)] = 0, 0
        there[[joint for joint in frame.unknown if joint in _WRISTS]] = 0
        capture, number = str(frame.capture), str(frame.number)
        self.joints.setdefault(capture, {})[number] = dict(
            world_coord=points.tolist(), joint_valid=valid.tolist(), hand_type=frame.hand_type, hand_type_valid=1)
        if 'all' not in frame.lost:
            self.mano.setdefault(capture, {})[number] = {
                side: self._mano(to_world(hands[side], rotation, -rotation @ position))
                if side in hands and side not in frame.lost else None for side in _FIRST}
        truth = {side: dict(vertices=hand.vertices, joints=joints[side], has_mano=not {'all', side} & set(frame.lost),
                            known=valid[_FIRST[side] + np.argsort(_ORDER), 0] > 0) for side, hand in hands.items()}
        for camera, turn, image in ((UPRIGHT, np.eye(3), shot.image), (LYING, _ROLL, np.rot90(shot.image, -1))):
            seen = {side: dict(one, vertices=one['vertices'] @ turn.T, joints=one['joints'] @ turn.T)
                    for side, one in truth.items()}
            self._add_image(frame, camera, image, seen, there)

    def _add_image(self, frame: Frame, camera: int, image: np.ndarray, seen: dict[str, dict], there: np.ndarray) -> None:
        """A picture (H, W, 3), its entry in the list, and the truth in its camera."""
        fields, size = self.cameras[str(frame.capture)], image.shape[1::-1]
        (fx, fy), (cx, cy) = (fields[name][str(camera)] for name in ('focal', 'princpt'))
        K = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
        place = f'Capture{frame.capture}/{frame.sequence}/cam{camera}'
        points = np.concatenate([one['joints'][one['known']] for one in seen.values()]) @ K.T
        pixels = points[:, :2] / points[:, 2:]
        low = (pixels.min(0) - _BOX_MARGIN).clip(0)
        high = np.minimum(pixels.max(0) + _BOX_MARGIN, np.array(size) - 1)
        number = len(self.data['images']) + 1000
        self.data['images'].append(dict(
            id=number, file_name=f'{place}/image{frame.number}.jpg', width=size[0], height=size[1], capture=frame.capture,
            subject=frame.capture, seq_name=frame.sequence, camera=str(camera), frame_idx=frame.number))
        self.data['annotations'].append(dict(
            id=number, image_id=number, bbox=[*low.tolist(), *(high - low).tolist()], joint_valid=there.tolist(),
            hand_type=frame.hand_type, hand_type_valid=1))
        path = self.root / 'images' / self.split / place / f'image{frame.number}.jpg'
        path.parent.mkdir(parents=True, exist_ok=True)
        image = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) if camera == LYING else image
        if not cv2.imwrite(str(path), image, [cv2.IMWRITE_JPEG_QUALITY, 70]):
            raise OSError(f'{path} could not be written')
        self.truth[f'interhand/{self.split}/{place}/{frame.number}'] = dict(hands=seen, K=K, size=size)

    def _mano(self, hand: Hand) -> dict:
        """Of the world."""
        pose = np.concatenate([hand.global_orient, self.spaces[hand.side].residual(hand.hand_pose).ravel()])
        return dict(pose=pose.tolist(), shape=hand.betas.tolist(), trans=hand.transl.tolist())
