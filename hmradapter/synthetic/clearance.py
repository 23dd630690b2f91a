"""How far limbs stand in trunk, head and each other: capsules around bones, metres; T frames."""
from dataclasses import dataclass

import numpy as np

from hmradapter.synthetic.body_pose import BodyPose
from hmradapter.synthetic.people import Person

_LIMBS = (('left_hip', 'left_knee', 0.080), ('right_hip', 'right_knee', 0.080), ('left_knee', 'left_ankle', 0.055),
          ('right_knee', 'right_ankle', 0.055))
_ARM = 0.045    # radius of a forearm with its sleeve
_HEAD = (0.115, np.array([0.0, 0.09, 0.02]))  # radius, centre from the head's joint
_ALONG = np.linspace(0.15, 1, 7)[:, None, None]


@dataclass
class Obstacles:
    """Capsules: ends a, b (C, T, 3) and radii (C,)."""
    a: np.ndarray
    b: np.ndarray
    radius: np.ndarray

    def joined(self, a: np.ndarray, b: np.ndarray, radius: float) -> 'Obstacles':
        """With one capsule more, ends (T, 3)."""
        return Obstacles(np.concatenate([self.a, a[None]]), np.concatenate([self.b, b[None]]), np.append(self.radius, radius))

    def depth(self, points: np.ndarray, radius: float) -> np.ndarray:
        """How deep balls of `radius` at points (P, T, 3) are inside, summed over balls: (T,)."""
        way = self.b - self.a
        share = ((points[:, None] - self.a) * way).sum(-1) / np.maximum((way ** 2).sum(-1), 1e-12)
        nearest = self.a + np.clip(share, 0, 1)[..., None] * way
        gap = np.linalg.norm(points[:, None] - nearest, axis=-1) - self.radius[:, None] - radius
        return np.clip(-gap, 0, None).max(axis=1).sum(axis=0)


def trunk_and_legs(body: BodyPose) -> Obstacles:
    """Everything that arms must not enter, once trunk, head and legs are set."""
    half_width, half_depth = _trunk_size(body.person)
    turn = body.world('spine2')
    pelvis, chest, head = (body.place(joint) for joint in ('pelvis', 'spine3', 'head'))
    a, b, radius = [], [], []
    for across in (-1, 0, 1):
        aside = turn @ np.array([across * (half_width - half_depth), 0, 0])
        a.append(pelvis + aside)
        b.append(chest + 0.7 * (head - chest) * (across == 0) + aside)
        radius.append(half_depth)
    centre = head + body.world('head') @ _HEAD[1]
    a.append(centre)
    b.append(centre)
    radius.append(_HEAD[0])
    for start, end, thickness in _LIMBS:
        a.append(body.place(start))
        b.append(body.place(end))
        radius.append(thickness)
    return Obstacles(np.stack(a), np.stack(b), np.array(radius))


def arm_points(elbow: np.ndarray, wrist: np.ndarray, tip: np.ndarray) -> np.ndarray:
    """Points (P, T, 3) along forearm and hand."""
    return np.concatenate([elbow + _ALONG * (wrist - elbow), wrist + _ALONG * (tip - wrist)])


def arm_depth(obstacles: Obstacles, elbow: np.ndarray, wrist: np.ndarray, tip: np.ndarray) -> np.ndarray:
    """(T,) how deep an arm is in what is in its way; joints (T, 3)."""
    return obstacles.depth(arm_points(elbow, wrist, tip), _ARM)


def _trunk_size(person: Person) -> tuple[float, float]:
    """Half of its width and depth at the waist and chest, without arms."""
    low, high = person.at('spine1')[1], person.at('spine3')[1]
    ring = person.template[(person.template[:, 1] > low) & (person.template[:, 1] < high)
                           & (np.abs(person.template[:, 0]) < 0.25)]
    return float(np.quantile(np.abs(ring[:, 0]), 0.9)), float(np.ptp(np.quantile(ring[:, 2], (0.05, 0.95))) / 2)
