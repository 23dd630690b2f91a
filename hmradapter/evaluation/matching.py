"""Which sample of a data set a prediction belongs to: by key, by image and box, or by order. N predictions, M samples."""
from collections import defaultdict
from pathlib import PurePosixPath

import numpy as np

from hmradapter.evaluation.other_systems import Imported


def match(imported: Imported, truth: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the predictions and rows of the truth that belong together, in the order of the truth; one prediction a sample.

    Names are keys of the truth, or images: of those that end alike (folders from the right, the suffix does not count) the
    longest agreement wins. Persons of one image go to the sample with the nearest box centre. Without names the order tells.

    Raises:
        ValueError: names the first prediction that fits no sample or several.
    """
    keys = truth['key'].tolist()
    if imported.names is None:
        count = len(next(iter(imported.arrays.values())))
        if count != len(keys):
            raise ValueError(f'there are {count} predictions without names and {len(keys)} samples: they can only be matched '
                             'by their order, one for each sample.')
        order = np.argsort(truth['sample_idx'], kind='stable')
        return _in_order(np.arange(count), order)
    places = {key: row for row, key in enumerate(keys)}
    if all(name in places for name in imported.names.tolist()):
        return _unique(imported.names, np.array([places[name] for name in imported.names.tolist()]))
    return _by_image(imported, truth)


def _unique(names: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    values, counts = np.unique(rows, return_counts=True)
    if (counts > 1).any():
        name = names[np.flatnonzero(rows == values[np.argmax(counts)])[0]]
        raise ValueError(f'the sample {str(name)!r} has {counts.max()} predictions; one is needed.')
    return _in_order(np.arange(len(rows)), rows)


def _in_order(predictions: np.ndarray, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    order = np.argsort(samples, kind='stable')
    return predictions[order], samples[order]


def _by_image(imported: Imported, truth: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    if 'img_path' not in truth:
        raise ValueError(f'the prediction {str(imported.names[0])!r} is no key of the truth, which has no img_path either: '
                         'give each prediction its key.')
    by_file, by_image = defaultdict(set), defaultdict(list)
    for row, path in enumerate(truth['img_path'].tolist()):
        by_file[_parts(path)[0]].add(path)
        by_image[path].append(row)
    wanted = defaultdict(list)
    for prediction, name in enumerate(imported.names.tolist()):
        wanted[_image_of(name, by_file)].append(prediction)
    pairs = [pair for image, predictions in wanted.items()
             for pair in _persons(image, predictions, by_image[image], imported, truth)]
    predictions, samples = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    return _in_order(predictions, samples)


def _parts(path: str) -> tuple[str, ...]:
    """Folders and name without suffix, from the right."""
    path = PurePosixPath(path.replace('\\', '/'))
    return (path.stem, *reversed(path.parts[:-1]))


def _image_of(name: str, by_file: dict[str, set[str]]) -> str:
    own = _parts(name)
    agreement = {path: next((i for i, (a, b) in enumerate(zip(own, _parts(path), strict=False)) if a != b),
                            min(len(own), len(_parts(path)))) for path in by_file.get(own[0], ())}
    best = [path for path, count in agreement.items() if count == max(agreement.values())]
    if len(best) != 1:
        problem = 'no image of the truth' if not best else f'several images of the truth, such as {sorted(best)[:2]}'
        raise ValueError(f'the prediction for {name!r} fits {problem}: give each prediction its key.')
    return best[0]


def _persons(image: str, predictions: list[int], samples: list[int], imported: Imported, truth: dict) -> list[tuple[int, int]]:
    """Pairs of an image, nearest box centres first."""
    if len(predictions) == len(samples) == 1:
        return [(predictions[0], samples[0])]
    if imported.centers is None or 'box_center' not in truth:
        raise ValueError(f'{image} has {len(predictions)} predictions and {len(samples)} samples, and without boxes on both '
                         'sides nobody knows which belong together: give each prediction its key.')
    far = np.linalg.norm(imported.centers[predictions][:, None] - truth['box_center'][samples][None], axis=-1)
    pairs: list[tuple[int, int]] = []
    for place in np.argsort(far, axis=None, kind='stable'):
        prediction, sample = np.unravel_index(place, far.shape)
        if all(prediction != a and sample != b for a, b in pairs):
            pairs.append((prediction, sample))
    return [(predictions[a], samples[b]) for a, b in pairs]
