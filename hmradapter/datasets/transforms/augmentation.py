"""What chance does to a training sample. Every draw is made once, from `rng`, and kept in `results`: put it there
beforehand and it is replayed. Sources: HaMeR `datasets/utils.py:do_augmentation` and its defaults, SMPLer-X
`common/utils/preprocessing.py`."""
import cv2
import numpy as np
import torch
from mmcv.transforms import BaseTransform

from hmradapter.geometry import rotations
from hmradapter.registry import TRANSFORMS


def generator(results: dict) -> np.random.Generator:
    """The sample's own generator; without one, a new one from NumPy's global state, which workers seed apart."""
    if 'rng' not in results:
        results['rng'] = np.random.default_rng(np.random.randint(2 ** 31 - 1))
    return results['rng']


def scale_and_turn(normal: np.ndarray, chance: float, scale: float, degrees: float, turn_probability: float) -> dict:
    """The draw that HaMeR and SMPLer-X share, from two standard normal numbers and one of 0..1: a scale about 1 and degrees."""
    turn = np.clip(normal[1], -2, 2) if chance <= turn_probability else 0.0
    return dict(scale=float(1 + scale * np.clip(normal[0], -1, 1)), degrees=float(degrees * turn))


@TRANSFORMS.register_module()
class RandomHandAugmentation(BaseTransform):
    """Draws HaMeR's scale, in-plane turn and shift of the crop; `HandCrop` applies them to picture, labels and guidance.

    Adds: augmentation = dict(scale, degrees, shift (2,) in crop sides).

    Args:
        scale: 1 + scale * clip(N, -1, 1), N standard normal.
        degrees: degrees * clip(N, -2, 2) with probability `turn_probability`, else 0.
        shift: shift * clip(N, -1, 1) of the crop's side, in x and y.
    """

    def __init__(self, scale: float = 0.3, degrees: float = 30.0, turn_probability: float = 0.6, shift: float = 0.02):
        self.scale, self.degrees, self.turn_probability, self.shift = scale, degrees, turn_probability, shift

    def transform(self, results: dict) -> dict:
        if 'augmentation' not in results:
            rng = generator(results)
            normal, chance = rng.standard_normal(4), rng.random()
            shift = tuple(float(value) for value in self.shift * np.clip(normal[2:], -1, 1))
            results['augmentation'] = dict(shift=shift, **scale_and_turn(normal, chance, self.scale, self.degrees,
                                                                         self.turn_probability))
        return results


@TRANSFORMS.register_module()
class RandomPersonAugmentation(BaseTransform):
    """Draws SMPLer-X's scale, in-plane turn and mirroring of a person's crop; `PersonCrop` applies them to picture and labels.

    Adds: augmentation = dict(scale, degrees, flip).

    Args:
        scale: 1 + scale * clip(N, -1, 1), N standard normal.
        degrees: degrees * clip(N, -2, 2) with probability `turn_probability`, else 0.
        flip_probability: of seeing the person in a mirror.
    """

    def __init__(self, scale: float = 0.25, degrees: float = 30.0, turn_probability: float = 0.6,
                 flip_probability: float = 0.5):
        self.scale, self.degrees, self.turn_probability = scale, degrees, turn_probability
        self.flip_probability = flip_probability

    def transform(self, results: dict) -> dict:
        if 'augmentation' not in results:
            rng = generator(results)
            normal, chance = rng.standard_normal(2), rng.random(2)
            results['augmentation'] = dict(flip=bool(chance[1] < self.flip_probability),
                                           **scale_and_turn(normal, chance[0], self.scale, self.degrees, self.turn_probability))
        return results


@TRANSFORMS.register_module()
class ColorJitter(BaseTransform):
    """Multiplies each channel by its own factor in [1 - amount, 1 + amount] and clips to 0..255. A uint8 crop stays uint8:
    at most half a grey level from HaMeR, which goes on in floats.

    Changes: img (S, S, 3) BGR.  Adds: color (3,), factors of R, G, B.
    """

    def __init__(self, amount: float = 0.2):
        self.amount = amount

    def transform(self, results: dict) -> dict:
        if 'color' not in results:
            results['color'] = tuple(generator(results).uniform(1 - self.amount, 1 + self.amount, 3).tolist())
        bgr = np.array(results['color'][::-1])
        image = results['img']
        if image.dtype == np.uint8:
            table = np.clip(np.rint(np.arange(256)[:, None] * bgr), 0, 255).astype(np.uint8)
            planes = zip(cv2.split(image), table.T, strict=True)  # faster than a table of all three
            results['img'] = cv2.merge([cv2.LUT(plane, np.ascontiguousarray(levels)) for plane, levels in planes])
        else:
            results['img'] = np.clip(image * bgr.astype(image.dtype), 0, 255)
        return results


@TRANSFORMS.register_module()
class RandomOcclusion(BaseTransform):
    """Covers a rectangle of the crop by one colour or by another piece of the crop, so that a network learns hands of which it
    sees little. Source of the idea: random erasing (Zhong et al., AAAI 2020), synthetic occlusion (Sarandi et al. 2018).

    Changes: img (S, S, 3).  Adds: occlusion, None where nothing is covered, else dict(box (x, y, w, h) in pixels, fill: the
    piece's corner (x, y) or a colour (3,)).

    Args:
        probability: of covering anything.
        sides: shares of the crop's side between which the rectangle's width and height are drawn.
    """

    def __init__(self, probability: float = 0.5, sides: tuple[float, float] = (0.25, 0.7)):
        if not 0 <= probability <= 1 or not 0 < sides[0] <= sides[1] < 1:
            raise ValueError(f'RandomOcclusion got probability={probability}, sides={sides}: a probability is in [0, 1], and '
                             'shares rise between 0 and 1.')
        self.probability, self.sides = probability, sides

    def transform(self, results: dict) -> dict:
        image = results['img']
        if 'occlusion' not in results:
            results['occlusion'] = self._draw(generator(results), image.shape[0])
        if results['occlusion'] is not None:
            (x, y, w, h), fill = results['occlusion']['box'], results['occlusion']['fill']
            piece = image[fill[1]:fill[1] + h, fill[0]:fill[0] + w] if len(fill) == 2 else fill
            covered = image.copy()  # the piece may lie below the rectangle
            covered[y:y + h, x:x + w] = piece
            results['img'] = covered
        return results

    def _draw(self, rng: np.random.Generator, side: int) -> dict | None:
        if rng.random() >= self.probability:
            return None
        size = (side * rng.uniform(*self.sides, 2)).astype(int)
        corner, other = rng.integers(0, side - size + 1, (2, 2)).tolist()
        fill = other if rng.random() < 0.5 else rng.integers(0, 256, 3).tolist()
        return dict(box=(*corner, *size.tolist()), fill=fill)


@TRANSFORMS.register_module()
class GuidanceNoise(BaseTransform):
    """Makes the guiding body as unsure as a predicted one: random turns of every joint, or no body at all.

    Changes: body_pose (22, 3, 3), has_body_pose.  Adds: guidance_draw = dict(rotvec (22, 3) radians, keep).

    Args:
        degrees: standard deviation of each component of a joint's turn about its own axes.
        dropout: probability of taking the body away (zeros, has_body_pose 0), as data without bodies has it.
    """

    def __init__(self, degrees: float = 0.0, dropout: float = 0.0):
        if degrees < 0 or not 0 <= dropout <= 1:
            raise ValueError(f'GuidanceNoise got degrees={degrees}, dropout={dropout}: degrees >= 0 and dropout in [0, 1].')
        self.degrees, self.dropout = degrees, dropout

    def transform(self, results: dict) -> dict:
        if 'guidance_draw' not in results:
            rng = generator(results)
            rotvec = np.deg2rad(self.degrees) * rng.standard_normal(results['body_pose'].shape[:2])
            results['guidance_draw'] = dict(rotvec=rotvec.astype(np.float32), keep=bool(rng.random() >= self.dropout))
        draw = results['guidance_draw']
        body = results['body_pose'] * float(draw['keep'])
        if draw['rotvec'].any():
            body = body @ rotations.axis_angles_to_rotmats(draw['rotvec'])
        results['body_pose'] = body
        results['has_body_pose'] = results['has_body_pose'] * float(draw['keep'])
        return results


@TRANSFORMS.register_module()
class HandJointNoise(BaseTransform):
    """Makes the hand joints that guide the body adapter as unsure as predicted ones: scattered, or a whole hand missing.

    Changes: hand_joints (2, 20, 3), x and y in cells of the body's map.
    Adds: has_hands (2,), hand_joint_draw = dict(offset (2, 20, 2) cells, keep (2,)).

    Args:
        cells: standard deviation of x and y; a cell is 16 pixels of the encoder's crop.
        dropout: probability of each hand of being taken away.
    """

    def __init__(self, cells: float = 0.0, dropout: float = 0.0):
        if cells < 0 or not 0 <= dropout <= 1:
            raise ValueError(f'HandJointNoise got cells={cells}, dropout={dropout}: cells >= 0 and dropout in [0, 1].')
        self.cells, self.dropout = cells, dropout

    def transform(self, results: dict) -> dict:
        if 'hand_joint_draw' not in results:
            rng = generator(results)
            offset = self.cells * rng.standard_normal((*results['hand_joints'].shape[:2], 2))
            results['hand_joint_draw'] = dict(offset=offset.astype(np.float32), keep=rng.random(2) >= self.dropout)
        draw = results['hand_joint_draw']
        joints = results['hand_joints']
        moved = joints[..., :2] + torch.from_numpy(draw['offset'])
        results['hand_joints'] = torch.cat((moved, joints[..., 2:]), dim=-1)
        results['has_hands'] = torch.from_numpy(draw['keep']).to(joints.dtype)
        return results
