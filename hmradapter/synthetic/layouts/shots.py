"""Small photographs of open-world people with the whole truth in the camera frame; writers of layouts say it in others' words.
What a shot holds, in which frame and units, says `figures`; who is in it `studio`; from where it is taken `framing`.
"""
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hmradapter.synthetic.people import SIDES
from hmradapter.synthetic.runs import stream

from .figures import Figure, Hand, HandSpace, Shot, read_hand_space, to_world
from .framing import FRAMINGS, HAND_MARGIN, direction, draw_K, fitted, framed
from .studio import Studio, check_among, smplx_layer

__all__ = ['Figure', 'Hand', 'HandSpace', 'Shot', 'read_hand_space', 'smplx_layer', 'take_hand_shots', 'take_shots', 'to_world']

_APART = 1.0      # metres between two people
_LOOKS = 4        # directions tried for a close-up, of which the one that hides least is kept


def take_shots(body_model_root: str | Path, count: int, size: tuple[int, int] = (320, 240), seed: int = 0, people: int = 1,
               genders: Sequence[str] = ('neutral',), framings: Sequence[str] = FRAMINGS, hand_space: str = 'free',
               K: np.ndarray | None = None, subjects: int | None = None, device: str = 'cpu') -> list[Shot]:
    """`count` pictures of `people` persons each, every one in a pose of its own. size (width, height), both even.
    `subjects` persons take turns, as many as `people` or `genders` need if None; genders take turns among them, framings among
    pictures. K (3, 3) holds for all pictures, or None: drawn for each."""
    studio = Studio(str(body_model_root), seed, tuple(genders), hand_space, device)
    check_among(framings, FRAMINGS, 'framings')
    turn = _turns(count, people, subjects or max(2, people, len(genders)))
    poses = {n: iter(studio.stand(n, int((turn == n).sum()))) for n in np.unique(turn).tolist()}
    shots = []
    for k, numbers in enumerate(turn.tolist()):
        rng = stream(seed, 'shot', str(k))
        places = (np.arange(people) - (people - 1) / 2) * _APART
        group = [next(poses[n]).moved((x, rng.uniform(-0.3, 0.3), 0.0)) for n, x in zip(numbers, places, strict=True)]
        intrinsics = draw_K(size, (1.0, 1.5), rng) if K is None else np.array(K, float)
        shots.append(studio.photograph(group, [framed(group, framings[k % len(framings)], intrinsics, size, rng)], rng))
    return shots


def take_hand_shots(body_model_root: str | Path, count: int, size: tuple[int, int] = (224, 224),
                    sides: Sequence[str] = ('right',), seed: int = 0, genders: Sequence[str] = ('neutral',),
                    hand_space: str = 'free', K: np.ndarray | None = None, subjects: int | None = None,
                    device: str = 'cpu') -> list[Shot]:
    """`count` close-ups of a person's hands of `sides`, one or both, which fill the picture; the other arm hangs down.
    A shot's one figure is the whole person, so its truth is `figures[0].hands[side]`. The rest as in `take_shots`."""
    studio = Studio(str(body_model_root), seed, tuple(genders), hand_space, device)
    check_among(sides, SIDES, 'sides')
    turn = _turns(count, 1, subjects or max(2, len(genders)))[:, 0]
    poses = {n: iter(studio.show_hands(n, int((turn == n).sum()), sides)) for n in np.unique(turn).tolist()}
    shots = []
    for k, number in enumerate(turn.tolist()):
        rng, pose = stream(seed, 'close-up', *sides, str(k)), next(poses[number])
        intrinsics = draw_K(size, (1.9, 2.5), rng) if K is None else np.array(K, float)
        hands = np.concatenate([pose.vertices[pose.person.hand_weight[side] > 0.5] for side in sides])
        cameras = [fitted(hands, pose.vertices, direction(rng, 1.2, (-25, 60)), intrinsics, size, HAND_MARGIN)
                   for _ in range(_LOOKS)]
        shots.append(studio.photograph([pose], cameras, rng, sides))
    return shots


def _turns(count: int, people: int, subjects: int) -> np.ndarray:
    """Numbers (count, people) of the subjects in each picture."""
    if not 1 <= people <= subjects or count < 1:
        raise ValueError(f'count is {count}, people is {people}, subjects is {subjects}: take at least one picture, with at '
                         'least one person and at most as many as there are subjects.')
    return np.arange(count * people).reshape(count, people) % subjects
