"""A whole open ARCTIC: who, what and where by seed, made sequence by sequence in parallel, resumable at any moment.

Every draw has its own stream of random numbers, named by seed, subject and sequence: files do not depend on how many workers
there are, on the order they finish in, or on where a killed run stopped.
"""
import concurrent.futures
import contextlib
import fcntl
import functools
import json
import multiprocessing
import shutil
import time
import zlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from hmradapter.body_models import OPEN_ROOT, MANOLayer, SMPLXLayer, require_open_body_models
from hmradapter.fileio import atomic_write
from hmradapter.synthetic import arctic_layout as layout
from hmradapter.synthetic.cameras import NUM_VIEWS, Camera, camera_ring
from hmradapter.synthetic.motion import gesture, handle
from hmradapter.synthetic.objects import KINDS, HandheldObject, make_object
from hmradapter.synthetic.people import SIDES, Person, make_person
from hmradapter.synthetic.scene import WORLD_FROM_STAGE, WORLD_ORIGIN, Scene, put_in_world

DOMAINS = ('target', 'source')
RECIPE = 'open_world.json'   # below meta/: the arguments that made a folder
VERSION = 3                  # of what the same arguments give
SUBJECTS_HELD_OUT = ('s05', 's11', 's12', 's13', 's14', 's15', 's16', 's17')  # s05 is ARCTIC's own; s03 is its hidden test
OBJECTS_OF_A_KIND = 3
BLURRED = {'target': 0.3, 'source': 0.1}
JPEG_QUALITY = 92


@dataclass(frozen=True)
class Recipe:
    """What to make. domain 'target': hands at an object; 'source': the same people and motions without it, and every other
    sequence free gestures. sequences and frames are per subject and per sequence; views of 1..8; size (width, height)."""
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
        """'sXX/<object>_use_NN' by split; the test split has no labels in ARCTIC and is empty here."""
        counts = dict(train=self.sequences, val=self.val_sequences)
        return {split: [f'{name}/{self.object_of(name, i)}_use_{i + 1:02d}' for name in names for i in range(counts[split])]
                for split, names in self.split_subjects().items()} | dict(test=[])

    def object_of(self, subject: str, index: int) -> str:
        """Name of the object of a subject's sequence; kinds take turns."""
        draw = self.stream('order', subject)
        kinds = draw.permutation(len(KINDS))
        return f'{KINDS[kinds[index % len(KINDS)]]}{1 + (index + int(draw.integers(99))) % OBJECTS_OF_A_KIND}'

    def stream(self, *names: str) -> np.random.Generator:
        """Random numbers of their own for one purpose."""
        return np.random.default_rng([self.seed, *(zlib.crc32(name.encode()) for name in names)])


def generate(recipe: Recipe, out: Path, workers: int = 1, progress: Callable | None = None,
             device: str = 'cpu') -> dict[str, float]:
    """Make what is missing below `out`. progress(results, total) may wrap the iterator over sequences, e.g. in tqdm.
    Returns images, seconds and images_per_second of this run (0 images where all was there)."""
    require_open_body_models(recipe.body_models)
    out.mkdir(parents=True, exist_ok=True)
    _check_recipe(recipe, out)
    with _alone_in(out):
        for stale in (out / 'images').glob('*/.partial-*'):
            shutil.rmtree(stale)
        splits = recipe.split_sequences()
        missing = [sequence for names in splits.values() for sequence in names if not is_done(out, sequence)]
        work = functools.partial(make_sequence, recipe, out, device=device)
        start = time.perf_counter()
        results = _run(work, missing, workers)
        images = sum(progress(results, len(missing)) if progress else results)
        seconds = time.perf_counter() - start
        _write_meta(recipe, out, splits)
    return dict(images=images, seconds=seconds, images_per_second=images / seconds if images else 0.0)


def is_done(out: Path, sequence: str) -> bool:
    """Images are put in place last, so a sequence with its images and its files is whole."""
    files = [layout.raw_path(out, sequence, kind) for kind in layout.RAW_KINDS] + [layout.visibility_path(out, sequence)]
    return layout.image_folder(out, sequence).is_dir() and all(path.is_file() for path in files)


def make_sequence(recipe: Recipe, out: Path, sequence: str, device: str = 'cpu') -> int:
    """Make one sequence 'sXX/<name>' and return its number of images."""
    subject, name = sequence.split('/')
    person, cameras, offset = _subject(recipe, subject)
    thing = _thing(recipe, name.split('_')[0])
    rng = recipe.stream('motion', subject, name)
    free = recipe.domain == 'source' and int(name[-2:]) % 2 == 0
    motion = gesture(person, recipe.frames, rng) if free else handle(person, thing, recipe.frames, rng)
    if recipe.domain == 'source':  # the same movement with nothing in the hands
        motion.object_rotation = thing = None
    world = put_in_world(person, motion)
    scene = Scene(person, world, thing, recipe.size, recipe.stream('scene', recipe.domain, subject, name),
                  BLURRED[recipe.domain], device)
    folder = layout.image_folder(out, sequence)
    partial = folder.with_name(f'.partial-{folder.name}')
    for old in (partial, folder):
        shutil.rmtree(old, ignore_errors=True)
    for view in recipe.views:
        (partial / str(view)).mkdir(parents=True)
    table = layout.empty_visibility(recipe.frames, len(recipe.views))
    for shot in scene.shots(cameras, recipe.views):
        path = partial / str(shot.view) / f'{layout.image_number(shot.frame):05d}.jpg'
        path.write_bytes(cv2.imencode('.jpg', shot.image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes())
        for side in SIDES:
            place = shot.frame, recipe.views.index(shot.view)
            table[side][place], table[f'{side}_inside'][place] = shot.visible[side], shot.inside[side]
    layout.write_raw(out, sequence, person, world, offset, _hands(recipe.body_models))
    layout.write_visibility(out, sequence, list(recipe.views), table, offset)
    partial.rename(folder)
    return recipe.frames * len(recipe.views)


@functools.lru_cache(maxsize=1)
def _layers(body_models: str) -> dict[str, SMPLXLayer]:
    return {gender: SMPLXLayer(str(Path(body_models) / 'smplx'), gender) for gender in ('male', 'female')}


@functools.lru_cache(maxsize=1)
def _hands(body_models: str) -> dict[str, MANOLayer]:
    return {side: MANOLayer(str(Path(body_models) / 'mano'), side) for side in SIDES}


@functools.lru_cache(maxsize=4)
def _subject(recipe: Recipe, subject: str) -> tuple[Person, list[Camera], int]:
    """A subject's person, 8 cameras and ioi_offset: the same in both domains."""
    person = make_person(subject, _layers(recipe.body_models), recipe.stream('person', subject))
    rng = recipe.stream('cameras', subject)
    shoulders = person.at('left_shoulder')[1] - person.at('pelvis')[1]
    centre = WORLD_FROM_STAGE @ np.array([0, 0.75 * shoulders, 0.14]) + WORLD_ORIGIN
    return person, camera_ring(centre, recipe.size, rng), int(rng.integers(1, 5))


def _thing(recipe: Recipe, name: str) -> HandheldObject:
    thing = make_object(name.rstrip('0123456789'), recipe.stream('object', name))
    thing.name = name
    return thing


def _run(work: Callable, sequences: list[str], workers: int):
    """Results of `work` as they come."""
    if workers <= 1 or len(sequences) <= 1:
        yield from map(work, sequences)
        return
    work_context = multiprocessing.get_context('spawn')  # neither torch nor warp survives a fork
    with concurrent.futures.ProcessPoolExecutor(workers, work_context, initializer=_start_worker) as pool:
        pending = [pool.submit(work, sequence) for sequence in sequences]
        try:
            for done in concurrent.futures.as_completed(pending):
                yield done.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _start_worker() -> None:
    torch.set_num_threads(1)
    cv2.setNumThreads(0)


@contextlib.contextmanager
def _alone_in(out: Path):
    """One run at a time in a folder; the lock falls with its process."""
    with open(out / 'meta' / RECIPE) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RuntimeError(f'{out} is being written by another run: wait for it, or give another folder.') from error
        yield


def _check_recipe(recipe: Recipe, out: Path) -> None:
    """A folder has one recipe: mixing two would leave a dataset that no command makes."""
    path = out / 'meta' / RECIPE
    wanted = json.loads(json.dumps(dict(asdict(recipe), version=VERSION, body_models=Path(recipe.body_models).name)))
    if path.is_file():
        found = json.loads(path.read_text())
        differing = sorted(key for key in wanted.keys() | found.keys() if wanted.get(key) != found.get(key))
        if differing:
            told = ', '.join(f'{key}: {found.get(key)!r} there, {wanted.get(key)!r} now' for key in differing)
            raise ValueError(f'{out} was begun with other arguments ({told}). Give the same ones, or another folder.')
        return
    if any(out.iterdir()):
        raise ValueError(f'{out} is not empty and holds no open dataset: give a new folder.')
    with atomic_write(path, 'w') as file:
        json.dump(wanted, file, indent=1)


def _write_meta(recipe: Recipe, out: Path, splits: dict[str, list[str]]) -> None:
    people, subjects = [], {}
    for subject in sorted(name for names in recipe.split_subjects().values() for name in names):
        person, cameras, offset = _subject(recipe, subject)
        people.append(person)
        subjects[subject] = layout.subject_entry(person, cameras, offset)
    names = sorted({sequence.split('/')[1].split('_')[0] for sequences in splits.values() for sequence in sequences})
    layout.write_meta(out, subjects, people, [_thing(recipe, name) for name in names], splits)
