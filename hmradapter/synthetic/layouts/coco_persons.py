"""Persons of `shots` in the words of COCO-WholeBody and of OSX's fits; what the writers of COCO-WholeBody and UBody share."""
import numpy as np

from hmradapter.synthetic.layouts.shots import Figure, Shot, read_hand_space

SIDES = ('left', 'right')
# Of SMPL-X's 144 points, by what they are called; the face's: 51 inner ones from 76, 17 of the contour from 127.
BODY = dict(nose=55, left_eye=57, right_eye=56, left_ear=59, right_ear=58, left_shoulder=16, right_shoulder=17, left_elbow=18,
            right_elbow=19, left_wrist=20, right_wrist=21, left_hip=1, right_hip=2, left_knee=4, right_knee=5, left_ankle=7,
            right_ankle=8)
FINGERS = dict(thumb=12, index=0, middle=3, ring=9, pinky=6)  # first joint of each, from a hand's first
FIRST_FINGER, FIRST_TIP = dict(left=25, right=40), dict(left=66, right=71)
HIP_ASIDE = np.array([4.0, -3.0])  # px from SMPL-X's hip to where people mark it


def hand_points(side: str) -> list[int]:
    """Points of a hand: wrist, then each finger from its root to its tip."""
    points = [BODY[f'{side}_wrist']]
    for number, start in enumerate(FINGERS.values()):
        first = FIRST_FINGER[side] + start
        points += [first, first + 1, first + 2, FIRST_TIP[side] + number]
    return points


def annotation_of(shot: Shot, figure: Figure, number: int, image_id: int, rng: np.random.Generator,
                  padding: float = 1.0) -> dict:
    """What annotators would mark of a person: every joint within the picture. The body's get visibility 1 or 2, the others a
    confidence, up to 2. Boxes of parts are `padding` times the tight ones and a few pixels more."""
    size = np.array(shot.size)
    pixels = shot.project(figure.joints).copy()
    for side, sign in zip(SIDES, (1, -1), strict=True):
        pixels[BODY[f'{side}_hip']] += HIP_ASIDE * [sign, 1]
    inside = ((pixels >= 0) & (pixels <= size - 1)).all(1)

    def marked(points: list[int], values: list[float]) -> list[float]:
        third = rng.choice(values, len(points)) * inside[points]
        return np.where(third[:, None] > 0, np.column_stack((pixels[points], third)), 0).ravel().tolist()

    outline = shot.project(figure.vertices).clip(0, size - 1)
    low, high = outline.min(0), outline.max(0)
    mark = dict(id=number, image_id=image_id, category_id=1, iscrowd=0, bbox=[*low.tolist(), *(high - low).tolist()],
                area=0.6 * float(np.prod(high - low)), keypoints=marked(list(BODY.values()), [1, 2]),
                foot_kpts=marked(list(range(60, 66)), [1.0, 2.0]), foot_valid=bool(inside[60:66].any()))
    mark['num_keypoints'] = int((np.array(mark['keypoints'][2::3]) > 0).sum())
    parts = dict(face=[*range(127, 144), *range(76, 127)], **{f'{side}hand': hand_points(side) for side in SIDES})
    for name, points in parts.items():
        seen = pixels[points][inside[points]]
        mark[f'{name}_valid'] = len(seen) >= 3
        mark[f'{name}_kpts'] = marked(points, [0.4, 1.0, 2.0]) if mark[f'{name}_valid'] else [0.0] * 3 * len(points)
        mark[f'{name}_box'] = _box(seen, padding, rng) if mark[f'{name}_valid'] else [0.0] * 4
    return mark


def _box(seen: np.ndarray, padding: float, rng: np.random.Generator) -> list[float]:
    low, high = seen.min(0), seen.max(0)
    middle, half = (low + high) / 2, padding * (high - low) / 2
    low, high = middle - half - rng.uniform(0, 4, 2), middle + half + rng.uniform(0, 4, 2)
    return [*low.tolist(), *(high - low).tolist()]


def without(annotation: dict, name: str) -> dict:
    """The annotation with a part ('lefthand', 'righthand', 'face') that nobody could mark."""
    gone = {f'{name}_valid': False, f'{name}_box': [0.0] * 4, f'{name}_kpts': [0.0] * len(annotation[f'{name}_kpts'])}
    return annotation | gone


def fit_of(shot: Shot, figure: Figure, body_model_root) -> dict:
    """The person as OSX's json has it: camera frame, fingers without the mean hand, no eyes."""
    fingers = {f'{side[0]}hand_pose': read_hand_space(body_model_root, side).residual(figure.hand_pose[i]).ravel().tolist()
               for i, side in enumerate(SIDES)}
    params = dict(root_pose=figure.global_orient, body_pose=figure.body_pose, jaw_pose=figure.jaw_pose, shape=figure.betas,
                  expr=figure.expression, trans=figure.transl)
    return dict(smplx_param={name: np.ravel(value).tolist() for name, value in params.items()} | fingers,
                cam_param=dict(focal=[shot.K[0, 0], shot.K[1, 1]], princpt=shot.K[:2, 2].tolist()))


def truth_of(shot: Shot, figure: Figure, annotation: dict, image: str) -> dict:
    """What a loader should find of a person."""
    return dict(figure=figure, K=shot.K, size=shot.size, pixels=shot.project(figure.joints), annotation=annotation, image=image)
