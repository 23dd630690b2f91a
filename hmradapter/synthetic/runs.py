"""Runs that fill a folder item by item: in parallel, resumable at any moment, one recipe and one run at a time in a folder.

Every draw has its own stream of random numbers, named by seed and purpose: files do not depend on how many workers there are,
on the order they finish in, or on where a killed run stopped.
"""
import concurrent.futures
import contextlib
import fcntl
import json
import multiprocessing
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch

from hmradapter.fileio import atomic_write

JPEG_QUALITY = 92


def stream(seed: int, *names: str) -> np.random.Generator:
    """Random numbers of their own for one purpose."""
    return np.random.default_rng([seed, *(zlib.crc32(name.encode()) for name in names)])


def check_recipe(recipe: dict, out: Path, path: Path) -> None:
    """A folder has one recipe, kept in `path`: mixing two would leave a dataset that no command makes."""
    out.mkdir(parents=True, exist_ok=True)
    wanted = json.loads(json.dumps(recipe))
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


@contextlib.contextmanager
def alone_in(out: Path, path: Path):
    """One run at a time in a folder, told by its recipe's file; the lock falls with its process."""
    with open(path) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RuntimeError(f'{out} is being written by another run: wait for it, or give another folder.') from error
        yield


def run(work: Callable, items: list[str], workers: int, progress: Callable | None = None) -> dict[str, float]:
    """`work(item)` for all, each telling how many images it made. progress(results, total) may wrap the iterator, e.g. in tqdm.
    Returns images, seconds and images_per_second."""
    start = time.perf_counter()
    results = _results(work, items, workers)
    images = sum(progress(results, len(items)) if progress else results)
    seconds = time.perf_counter() - start
    return dict(images=images, seconds=seconds, images_per_second=images / seconds if images else 0.0)


def summary(out: Path, made: dict[str, float], workers: int) -> str:
    """What a run says of itself at its end."""
    if not made['images']:
        return f'{out}: complete, nothing to do'
    return (f'{out}: {made["images"]} images in {made["seconds"]:.1f} s, {made["images_per_second"]:.1f} images per second '
            f'with {workers} workers')


def jpeg(image: np.ndarray) -> bytes:
    """A photograph (H, W, 3) uint8 BGR, compressed."""
    return cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()


def _results(work: Callable, items: list[str], workers: int):
    """Results of `work` as they come."""
    if workers <= 1 or len(items) <= 1:
        yield from map(work, items)
        return
    work_context = multiprocessing.get_context('spawn')  # neither torch nor warp survives a fork
    with concurrent.futures.ProcessPoolExecutor(workers, work_context, initializer=_start_worker) as pool:
        pending = [pool.submit(work, item) for item in items]
        try:
            for done in concurrent.futures.as_completed(pending):
                yield done.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _start_worker() -> None:
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
