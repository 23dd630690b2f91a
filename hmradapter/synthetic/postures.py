"""What a whole body does: standing, walking, sitting, squatting, lunging, bending, lifting a leg; and what its face does.

Angles in radians, T frames. A posture is a vector of LEGS_AND_TRUNK numbers; positive means flexion (thigh forward, shin back,
trunk forward), outwards for the legs, to the left for the trunk. Ranges of motion after standard goniometry tables (hip 0-120
with the knee bent, 0-80 with a straight one, extension 20; knee 0-135; ankle -20 to 40).
"""
import numpy as np

from hmradapter.synthetic.body_pose import BodyPose
from hmradapter.synthetic.curves import num_keys, random_curve, smooth_curve, turns

_DEG = np.pi / 180
LEGS_AND_TRUNK = ('hip_left', 'hip_right', 'knee_left', 'knee_right', 'apart_left', 'apart_right', 'outward_left',
                  'outward_right', 'forward', 'sideways', 'turn', 'pelvis')
_LIMITS = np.array([(-20, 115)] * 2 + [(0, 130)] * 2 + [(-4, 38)] * 2 + [(-15, 30)] * 2
                   + [(-15, 75), (-25, 25), (-35, 35), (-15, 40)]) * _DEG
KINDS = ('stand', 'walk', 'sit', 'squat', 'lunge', 'bend', 'lift', 'stride')
_SHARES = (0.24, 0.2, 0.12, 0.1, 0.08, 0.1, 0.08, 0.08)
# Shares of trunk movement by joint: forward, turn, sideways.
_SPINE = {'spine1': 0.4, 'spine2': 0.35, 'spine3': 0.25}
_ANKLE = (-20 * _DEG, 35 * _DEG)
_TOES = 30 * _DEG
# Of the open model's ten expressions: smile, frown, brows down, brows up, blink, cheeks, funnel, pucker, stretch, sneer.
_EXPRESSION_HIGH = np.array([2.2, 1.8, 2.0, 2.2, 1.6, 1.2, 1.4, 1.6, 1.2, 1.4])
_JAW = 22 * _DEG


def draw_kinds(count: int, rng: np.random.Generator) -> list[str]:
    """Kinds of postures."""
    return [KINDS[k] for k in rng.choice(len(KINDS), count, p=_SHARES)]


def separate_postures(kinds: list[str], rng: np.random.Generator) -> np.ndarray:
    """(T, 12): every frame for itself."""
    return np.clip(np.stack([_posture(kind, rng.uniform(0, 2 * np.pi), rng) for kind in kinds]), *_LIMITS.T)


def posture_curve(kind: str, num_frames: int, rng: np.random.Generator) -> np.ndarray:
    """(T, 12): one kind, in motion; a walk strides on, 0.9 steps a second at 5 frames a second."""
    if kind == 'walk':
        phase, stride = rng.uniform(0, 2 * np.pi), rng.uniform(0.45, 0.7)
        keys = np.stack([_posture('walk', phase + stride * t, rng, spread=0.03) for t in range(num_frames)])
        return np.clip(keys, *_LIMITS.T)
    keys = np.stack([_posture(kind, 0.0, rng, spread=0.5) for _ in range(num_keys(num_frames, 6))])
    return np.clip(smooth_curve(keys, num_frames), *_LIMITS.T)


def set_posture(body: BodyPose, posture: np.ndarray, yaw: np.ndarray, head: np.ndarray) -> None:
    """Turn pelvis, legs, spine, neck and head: posture (T, 12), yaw (T,) of the whole body, head (T, 3) axis-angle."""
    at = dict(zip(LEGS_AND_TRUNK, posture.T, strict=True))
    zero = np.zeros(len(posture))
    body.set('pelvis', turns(_vector(zero, yaw, zero)) @ turns(_vector(at['pelvis'], zero, zero)))
    for side, sign in (('left', 1), ('right', -1)):
        hip, knee = at[f'hip_{side}'] + at['pelvis'], at[f'knee_{side}']  # flexion is counted from the pelvis's own axis
        body.set(f'{side}_hip', turns(_vector(zero, zero, sign * at[f'apart_{side}'])) @ turns(_vector(-hip, zero, zero))
                 @ turns(_vector(zero, sign * at[f'outward_{side}'], zero)))
        body.set(f'{side}_knee', turns(_vector(knee, zero, zero)))
        flat = hip - at['pelvis'] - knee  # what brings the sole level
        ankle = np.clip(flat, *_ANKLE)
        body.set(f'{side}_ankle', turns(_vector(ankle, zero, -0.7 * sign * at[f'apart_{side}'])))
        body.set(f'{side}_foot', turns(_vector(-np.clip(ankle - flat, 0, _TOES), zero, zero)))  # heels off: toes stay down
    for joint, share in _SPINE.items():
        body.set(joint, turns(share * _vector(at['forward'], at['turn'], -at['sideways'])))
    body.set('neck', turns(0.4 * head))
    body.set('head', turns(0.6 * head))


def draw_face(body: BodyPose, rng: np.random.Generator, separate: bool) -> np.ndarray:
    """Set jaw and eyes; expression coefficients (T, 10) of the open model. A third of all faces are at rest, nearly."""
    frames = body.num_frames
    keys = frames if separate else num_keys(frames, 5)
    active = rng.uniform(size=(keys, 10)) < 0.3
    strength = rng.uniform(0, 1, (keys, 1)) * (rng.uniform(size=(keys, 1)) < 0.7)
    expression = active * strength * rng.uniform(0.2, 1, (keys, 10)) * _EXPRESSION_HIGH + rng.normal(0, 0.05, (keys, 10))
    jaw = _vector(_JAW * rng.beta(0.7, 2, keys), rng.normal(0, 0.02, keys), np.zeros(keys))
    gaze = _vector(rng.uniform(-0.15, 0.2, keys), rng.uniform(-0.35, 0.35, keys), np.zeros(keys))
    if not separate:
        expression, jaw, gaze = (smooth_curve(values, frames) for values in (expression, jaw, gaze))
    body.set('jaw', turns(jaw))
    for side in ('left', 'right'):
        body.set(f'{side}_eye_smplhf', turns(gaze))
    return expression


def head_curve(num_frames: int, rng: np.random.Generator, frames_per_key: int) -> np.ndarray:
    """(T, 3) axis-angle of neck and head together: nods, turns, tilts."""
    high = np.array((35, 45, 15)) * _DEG
    return random_curve(rng, num_frames, -high * (0.6, 1, 1), high, frames_per_key)


def _posture(kind: str, phase: float, rng: np.random.Generator, spread: float = 1.0) -> np.ndarray:
    """(12,) of one kind; `spread` scales what differs from moment to moment."""
    u = lambda low, high: (low + high) / 2 + spread * rng.uniform(-0.5, 0.5) * (high - low)  # noqa: E731 (a unit of drawing)
    legs = dict.fromkeys(LEGS_AND_TRUNK, 0.0)
    legs.update(apart_left=u(0.02, 0.14), apart_right=u(0.02, 0.14), outward_left=u(0, 0.25), outward_right=u(0, 0.25),
                forward=u(-0.1, 0.3), sideways=u(-0.15, 0.15), turn=u(-0.4, 0.4), knee_left=u(0.03, 0.2),
                knee_right=u(0.03, 0.2), hip_left=u(0, 0.15), hip_right=u(0, 0.15))
    front, back = ('left', 'right') if rng.uniform() < 0.5 or spread < 1 else ('right', 'left')
    if kind == 'walk':
        for side, p in (('left', phase), ('right', phase + np.pi)):
            legs[f'hip_{side}'] = 0.15 + 0.5 * np.sin(p) + u(-0.05, 0.05)
            legs[f'knee_{side}'] = 0.12 + 0.9 * np.clip(np.cos(p), 0, 1) ** 1.5 + u(-0.05, 0.05)  # bent as it swings forward
        legs.update(apart_left=0.03, apart_right=0.03, turn=0.2 * np.sin(phase), forward=u(0.0, 0.2))
    elif kind == 'sit':
        knee, hip = u(1.15, 1.55), u(1.35, 1.6)
        legs.update(hip_left=hip, hip_right=hip, knee_left=knee + u(-0.1, 0.1), knee_right=knee + u(-0.1, 0.1),
                    apart_left=u(0, 0.35), apart_right=u(0, 0.35), forward=u(-0.1, 0.6))
    elif kind == 'squat':
        depth = u(0.4, 1.0)
        legs.update(hip_left=1.9 * depth, hip_right=1.9 * depth, knee_left=2.1 * depth, knee_right=2.1 * depth,
                    apart_left=u(0.15, 0.5), apart_right=u(0.15, 0.5), outward_left=u(0.1, 0.5), outward_right=u(0.1, 0.5),
                    forward=u(0.1, 0.5), pelvis=0.45 * depth)
    elif kind == 'lunge':
        legs.update({f'hip_{front}': u(0.7, 1.3), f'knee_{front}': u(0.9, 1.5), f'hip_{back}': u(-0.35, 0.0),
                     f'knee_{back}': u(0.3, 0.9)}, forward=u(0.0, 0.4))
    elif kind == 'bend':
        legs.update(forward=u(0.5, 1.3), pelvis=u(0.1, 0.7), knee_left=u(0.05, 0.5), knee_right=u(0.05, 0.5))
        legs.update(hip_left=0.5 * legs['knee_left'], hip_right=0.5 * legs['knee_right'])
    elif kind == 'lift':
        knee = u(0.2, 1.8)
        legs.update({f'hip_{front}': u(0.3, 1.0) + 0.4 * knee, f'knee_{front}': knee, f'apart_{front}': u(0, 0.6)})
    elif kind == 'stride':
        legs.update(apart_left=u(0.2, 0.6), apart_right=u(0.2, 0.6), sideways=u(-0.4, 0.4), forward=u(-0.2, 0.4))
    return np.array([legs[name] for name in LEGS_AND_TRUNK])


def _vector(x, y, z) -> np.ndarray:
    return np.stack([x, y, z], axis=-1)
