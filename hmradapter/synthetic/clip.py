"""A film of a person at an object: the movements of a data set's sequence, with more frames a second."""
from collections.abc import Iterator

import numpy as np
import torch

from hmradapter.geometry.resampling import resample_rotations, resample_vectors
from hmradapter.synthetic.generator import Recipe, subject_of, thing_of
from hmradapter.synthetic.motion import Motion, handle
from hmradapter.synthetic.scene import Scene, put_in_world

RATE = 5  # frames a second that motions are drawn at


def film(recipe: Recipe, subject: str, seconds: float, fps: float, view: int = 1, device: str = 'cpu') -> Iterator[np.ndarray]:
    """Images (H, W, 3) uint8 BGR of a subject of the recipe ('target' domain) who handles an object, in one view. The same
    arguments give the same film; it is none of the recipe's own sequences.

    Raises:
        ValueError: a subject that the recipe does not have, or no time to show.
    """
    subjects = [name for names in recipe.split_subjects().values() for name in names]
    if subject not in subjects:
        raise ValueError(f'subject is {subject!r}; this recipe has {subjects}.')
    if not (seconds > 0 and fps > 0):
        raise ValueError(f'seconds is {seconds} and fps {fps}; both must be above 0.')
    person, cameras, _ = subject_of(recipe, subject)
    thing = thing_of(recipe, recipe.object_of(subject, 0))
    drawn = handle(person, thing, int(np.ceil(seconds * RATE)) + 1, recipe.stream('film', subject))
    motion = resampled(drawn, np.arange(int(round(seconds * fps))) * RATE / fps)
    scene = Scene(person, put_in_world(person, motion), thing, recipe.size, recipe.stream('film scene', subject), 0.0, device)
    for shot in scene.shots(cameras, [view]):
        yield shot.image


def resampled(motion: Motion, at: np.ndarray) -> Motion:
    """A motion at times `at` (N,), counted in its frames: shortest turns and straight lines between them."""
    times = np.arange(len(motion.transl), dtype=float)

    def between(values: np.ndarray | None, resample) -> np.ndarray | None:
        return None if values is None else resample(torch.from_numpy(values), times, at).numpy()

    hinge = None if motion.articulation is None else motion.articulation[:, None]
    hinge = between(hinge, resample_vectors)
    return Motion(between(motion.rotations, resample_rotations), between(motion.transl, resample_vectors),
                  between(motion.object_rotation, resample_rotations), between(motion.object_translation, resample_vectors),
                  None if hinge is None else hinge[:, 0], between(motion.expression, resample_vectors))
