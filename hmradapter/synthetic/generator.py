"""A whole open ARCTIC: who, what and where by seed, made sequence by sequence in parallel, resumable at any moment.

Streams of random numbers are named by seed, subject and sequence (see `runs`).
"""
import functools
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from hmradapter.body_models import OPEN_ROOT, MANOLayer, SMPLXLayer, require_open_body_models
from hmradapter.body_models.smplx_layer import GENDERS
from hmradapter.synthetic import arctic_layout as layout
from hmradapter.synthetic.body_motion import separate_poses, with_legs
from hmradapter.synthetic.cameras import NUM_VIEWS, WHOLE_BODY, Camera, camera_ring
from hmradapter.synthetic.motion import Motion, gesture, handle
from hmradapter.synthetic.objects import KINDS, HandheldObject, make_object
from hmradapter.synthetic.people import SIDES, Person, make_person, neutral_betas
from hmradapter.synthetic.runs import alone_in, check_recipe, jpeg, run, stream
from hmradapter.synthetic.scene import WORLD_FROM_STAGE, WORLD_ORIGIN, Scene, put_in_world
from hmradapter.synthetic.scenery import floor, stool

DOMAINS = ('target', 'source', 'bodies', 'bodies_objects')
WHOLE_PEOPLE = ('bodies', 'bodies_objects')  # domains with the whole person in the frame
RECIPE = 'open_world.json'   # below meta/: the arguments that made a folder
VERSION = 3                  # of what the same arguments give
SUBJECTS_HELD_OUT = ('s05', 's11', 's12', 's13', 's14', 's15', 's16', 's17')  # s05 is ARCTIC's own; s03 is its hidden test
OBJECTS_OF_A_KIND = 3
BLURRED = {'target': 0.3, 'source': 0.1, 'bodies': 0.0, 'bodies_objects': 0.3}
_SEEN_FROM_BEHIND = 0.2      # share of sequences of 'bodies' in which people face anywhere


@dataclass(frozen=True)
class Recipe:
    """What to make. domain 'target': hands at an object; 'source': the same people and motions without it, and every other
    sequence free gestures; 'bodies': whole people, each frame a pose of its own; 'bodies_objects': whole people whose hands
    handle objects. sequences and frames are per subject and per sequence; views of 1..8; size (width, height)."""
    domain: str = 'target'
    subjects: int = 8
    val_subjects: int = 3
    sequences: int = 4
    val_sequences: int = 4
    frames: int = 10
    views: tuple[int, ...] = (1, 3, 5, 7)
    size: tuple[int, int] = (480, 360)
    seed: int = 0
    body_models: str = str(OPEN_ROOT)

    def __post_init__(self):
        if self.domain not in DOMAINS:
            raise ValueError(f'domain is {self.domain!r}: choose from {DOMAINS}.')
        if not self.views or not set(self.views) <= set(range(1, NUM_VIEWS + 1)) or len(set(self.views)) < len(self.views):
            raise ValueError(f'views are {self.views}: name some of 1..{NUM_VIEWS}, each once.')
        if min(self.subjects, self.sequences, self.frames) < 1 or min(self.val_subjects, self.val_sequences) < 0:
            raise ValueError(f'{self}: subjects, sequences and frames must be at least 1.')
        if self.val_subjects > len(SUBJECTS_HELD_OUT):
            raise ValueError(f'val_subjects is {self.val_subjects}: at most {len(SUBJECTS_HELD_OUT)} can be held out.')

    def split_subjects(self) -> dict[str, list[str]]:
        """Names by split."""
        held_out = ('s03', *SUBJECTS_HELD_OUT)
        free = [name for name in (f's{i:02d}' for i in range(1, self.subjects + len(held_out) + 1)) if name not in held_out]
        return dict(train=free[:self.subjects], val=list(SUBJECTS_HELD_OUT[:self.val_subjects]))

    def split_sequences(self) -> dict[str, list[str]]:
        """'sXX/<object>_use_NN', or 'sXX/none_pose_NN' of 'bodies', by split; the test split, without labels in
        ARCTIC, is empty."""
        counts = dict(train=self.sequences, val=self.val_sequences)
        return {split: [f'{name}/{self._doing(name, i)}_{i + 1:02d}' for name in names for i in range(counts[split])]
                for split, names in self.split_subjects().items()} | dict(test=[])

    def _doing(self, subject: str, index: int) -> str:
        return 'none_pose' if self.domain == 'bodies' else f'{self.object_of(subject, index)}_use'

    def object_of(self, subject: str, index: int) -> str:
        """Name of the object of a subject's sequence; kinds take turns."""
        draw = self.stream('order', subject)
        kinds = draw.permutation(len(KINDS))
        return f'{KINDS[kinds[index % len(KINDS)]]}{1 + (index + int(draw.integers(99))) % OBJECTS_OF_A_KIND}'

    def stream(self, *names: str) -> np.random.Generator:
        """Random numbers of their own for one purpose."""
        return stream(self.seed, *names)


def generate(recipe: Recipe, out: Path, workers: int = 1, progress: Callable | None = None,
             device: str = 'cpu') -> dict[str, float]:
    """Make what is missing below `out`. progress(results, total) may wrap the iterator over sequences, e.g. in tqdm.
    Returns images, seconds and images_per_second of this run (0 images where all was there)."""
    require_open_body_models(recipe.body_models)
    path = out / 'meta' / RECIPE
    check_recipe(dict(asdict(recipe), version=VERSION, body_models=Path(recipe.body_models).name), out, path)
    with alone_in(out, path):
        for stale in (out / 'images').glob('*/.partial-*'):
            shutil.rmtree(stale)
        splits = recipe.split_sequences()
        missing = [sequence for names in splits.values() for sequence in names if not is_done(out, sequence)]
        made = run(functools.partial(make_sequence, recipe, out, device=device), missing, workers, progress)
        _write_meta(recipe, out, splits)
    return made


def is_done(out: Path, sequence: str) -> bool:
    """Images are put in place last, so a sequence with its images and its files is whole."""
    files = [layout.raw_path(out, sequence, kind) for kind in layout.RAW_KINDS] + [layout.visibility_path(out, sequence)]
    return layout.image_folder(out, sequence).is_dir() and all(path.is_file() for path in files)


def make_sequence(recipe: Recipe, out: Path, sequence: str, device: str = 'cpu') -> int:
    """Make one sequence 'sXX/<name>' and return its number of images."""
    subject, name = sequence.split('/')
    person, cameras, offset = subject_of(recipe, subject)
    motion, thing, seated = _act(recipe, person, subject, name)
    world = put_in_world(person, motion)
    rng, props = recipe.stream('scene', recipe.domain, subject, name), ()
    if recipe.domain in WHOLE_PEOPLE:
        props = (floor(rng), stool(world.vertices, world.transl + person.at('pelvis'), world.rotations[:, 0], seated, rng))
    scene = Scene(person, world, thing, recipe.size, rng, BLURRED[recipe.domain], device, props)
    folder = layout.image_folder(out, sequence)
    partial = folder.with_name(f'.partial-{folder.name}')
    for old in (partial, folder):
        shutil.rmtree(old, ignore_errors=True)
    for view in recipe.views:
        (partial / str(view)).mkdir(parents=True)
    table = layout.empty_visibility(recipe.frames, len(recipe.views))
    for shot in scene.shots(cameras, recipe.views):
        path = partial / str(shot.view) / f'{layout.image_number(shot.frame):05d}.jpg'
        path.write_bytes(jpeg(shot.image))
        for side in SIDES:
            place = shot.frame, recipe.views.index(shot.view)
            table[side][place], table[f'{side}_inside'][place] = shot.visible[side], shot.inside[side]
    shape = neutral_betas(person, _layers(recipe.body_models)) if recipe.domain in WHOLE_PEOPLE else None
    layout.write_raw(out, sequence, person, world, offset, _hands(recipe.body_models), shape)
    layout.write_visibility(out, sequence, list(recipe.views), table, offset)
    partial.rename(folder)
    return recipe.frames * len(recipe.views)


def _act(recipe: Recipe, person: Person, subject: str, name: str) -> tuple[Motion, HandheldObject | None, np.ndarray]:
    """What a person does in a sequence, with what, and in which frames on a stool."""
    rng, standing = recipe.stream('motion', subject, name), np.zeros(recipe.frames, bool)
    if recipe.domain == 'bodies':
        yaw = np.pi if rng.uniform() < _SEEN_FROM_BEHIND else 1.1
        whole = separate_poses(person, recipe.frames, rng, yaw)
        return whole.motion, None, np.array([kind == 'sit' for kind in whole.kinds])
    thing = thing_of(recipe, name.split('_')[0])
    if recipe.domain == 'source' and int(name[-2:]) % 2 == 0:
        return gesture(person, recipe.frames, rng), None, standing
    motion = handle(person, thing, recipe.frames, rng)
    if recipe.domain == 'source':  # the same movement with nothing in the hands
        motion.object_rotation = thing = None
    if recipe.domain == 'bodies_objects':
        motion = with_legs(person, motion, rng)
    return motion, thing, standing


@functools.lru_cache(maxsize=1)
def _layers(body_models: str) -> dict[str, SMPLXLayer]:
    return {gender: SMPLXLayer(str(Path(body_models) / 'smplx'), gender) for gender in GENDERS}


@functools.lru_cache(maxsize=1)
def _hands(body_models: str) -> dict[str, MANOLayer]:
    return {side: MANOLayer(str(Path(body_models) / 'mano'), side) for side in SIDES}


@functools.lru_cache(maxsize=4)
def subject_of(recipe: Recipe, subject: str) -> tuple[Person, list[Camera], int]:
    """A subject's person, 8 cameras and ioi_offset: the same with and without objects."""
    person = make_person(subject, _layers(recipe.body_models), recipe.stream('person', subject))
    rng = recipe.stream('cameras', subject)
    shoulders = person.at('left_shoulder')[1] - person.at('pelvis')[1]
    centre = WORLD_FROM_STAGE @ np.array([0, 0.75 * shoulders, 0.14]) + WORLD_ORIGIN
    if recipe.domain in WHOLE_PEOPLE:
        middle = np.array([*WORLD_ORIGIN[:2], 0.52 * np.ptp(person.template[:, 1])])
        ring = camera_ring(middle, recipe.size, rng, WHOLE_BODY, distance=(2.6, 4.5), elevated=0.6)
    else:
        ring = camera_ring(centre, recipe.size, rng)
    return person, ring, int(rng.integers(1, 5))


def thing_of(recipe: Recipe, name: str) -> HandheldObject:
    """The object of a name such as 'mug2', the same for everybody."""
    thing = make_object(name.rstrip('0123456789'), recipe.stream('object', name))
    thing.name = name
    return thing


def _write_meta(recipe: Recipe, out: Path, splits: dict[str, list[str]]) -> None:
    people, subjects = [], {}
    for subject in sorted(name for names in recipe.split_subjects().values() for name in names):
        person, cameras, offset = subject_of(recipe, subject)
        people.append(person)
        subjects[subject] = layout.subject_entry(person, cameras, offset)
    names = sorted({sequence.split('/')[1].split('_')[0] for sequences in splits.values() for sequence in sequences} - {'none'})
    layout.write_meta(out, subjects, people, [thing_of(recipe, name) for name in names], splits)
