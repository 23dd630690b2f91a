"""3DPW's files: where they lie, what they hold, whether they are whole. Nothing is posed here.

Layout (root = the release's folder), source: the data set's readme, MMHuman3D `pw3d.py`, Multi-HMR `threedpw.py`:
    imageFiles/<seq>/image_%05d.jpg                        portrait and landscape
    sequenceFiles/{train,validation,test}/<seq>.pkl        Python-2 pickles; world frame, metres, axis-angle
    3DPW_{train,validation,test}.json                      another form, COCO style, camera frame (Hand4Whole's, SMPLer-X's)
"""
from collections import defaultdict
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hmradapter.fileio import DamagedFileError, load_json, load_pickle

SITE = 'https://virtualhumans.mpi-inf.mpg.de/3DPW (imageFiles.zip and sequenceFiles.zip)'
SPLITS = ('train', 'validation', 'test')
GENDERS = dict(m='male', f='female', male='male', female='female', neutral='neutral')
POSE, BETAS, JOINTS = 72, 10, 24


class Persons(NamedTuple):
    """M persons in the images of a sequence. Frames of the source: world (official) or camera (COCO style, R = 1 and t = 0)."""
    images: list[str]           # relative to the root
    frames: np.ndarray          # (M,) number of the image
    actors: np.ndarray          # (M,) number of the person
    genders: list[str]          # of each
    params: dict                # pose (M, 72), transl (M, 3), betas (M, 10), float64
    rotation: np.ndarray        # (M, 3, 3) to the camera
    translation: np.ndarray     # (M, 3)
    intrinsics: np.ndarray      # (M, 3, 3)
    joints: np.ndarray | None   # (M, 24, 3) SMPL's, as the source has them
    detections: np.ndarray | None  # (M, 18, 3) OpenPose's, px and confidence; zeros where it saw fewer than 6
    boxes: np.ndarray | None    # (M, 4) xywh px
    img_sizes: list | None      # (W, H) of each, where the source says it
    lost: dict[str, list[str]]  # what the source itself declares unusable, by reason

    def take(self, chosen: np.ndarray) -> 'Persons':
        """Some of them, by number."""
        def pick(value):
            return [value[i] for i in chosen] if isinstance(value, list) else value if value is None else value[chosen]
        fields = {name: pick(value) for name, value in self._asdict().items() if name not in ('params', 'lost')}
        return Persons(**fields, params={name: value[chosen] for name, value in self.params.items()}, lost={})


class OfficialFiles:
    """The release's pickles of a split. FileNotFoundError where the folder is missing."""
    form = 'official'

    def __init__(self, root: Path, split: str, missing: Callable[[Path], Exception] = FileNotFoundError):
        self.root, self.folder = root, root / 'sequenceFiles' / split
        self.sequences = sorted(path.stem for path in self.folder.glob('*.pkl'))
        if not self.sequences:
            raise missing(self.folder / '*.pkl')

    def sources(self) -> list[Path]:
        """Files that the labels depend on."""
        return [self.folder / f'{sequence}.pkl' for sequence in self.sequences]

    def persons(self, sequence: str) -> Persons:
        """Everybody in every frame with a valid camera pose, actor by actor.

        Raises:
            DamagedFileError: the pickle is not whole or not 3DPW's.
        """
        path = self.folder / f'{sequence}.pkl'
        content = load_pickle(path)
        try:
            return _from_pickle(content, sequence)
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise DamagedFileError(path, 'a sequence of 3DPW', error) from error


class CocoFiles:
    """`3DPW_<split>.json`: parameters in the camera frame and given boxes."""
    form = 'coco'

    def __init__(self, root: Path, split: str, missing: Callable[[Path], Exception] = FileNotFoundError):
        self.root, self.path = root, root / f'3DPW_{split}.json'
        if not self.path.is_file():
            raise FileNotFoundError(f'{self.path} does not exist: it comes with Hand4Whole\'s and SMPLer-X\'s data '
                                    "(github.com/mks0601/Hand4Whole_RELEASE). annotations='official' reads the release.")

    @cached_property
    def by_sequence(self) -> dict[str, list[tuple[dict, dict]]]:
        """(image, annotation) pairs, images in order of their names."""
        content, found = load_json(self.path), defaultdict(list)
        try:
            images = {image['id']: image for image in content['images']}
            if len(images) != len(content['images']):
                raise ValueError('two images have one id')
            for annotation in content['annotations']:
                image = images[annotation['image_id']]
                found[str(image['sequence'])].append((image, annotation))
            for pairs in found.values():
                pairs.sort(key=lambda pair: (pair[0]['file_name'], pair[1]['id']))
        except (KeyError, TypeError, ValueError) as error:
            raise DamagedFileError(self.path, '3DPW in COCO\'s form', error) from error
        return dict(found)

    @property
    def sequences(self) -> list[str]:
        return sorted(self.by_sequence)

    def sources(self) -> list[Path]:
        """Files that the labels depend on."""
        return [self.path]

    def persons(self, sequence: str) -> Persons:
        """Everybody in every image of a sequence."""
        pairs = self.by_sequence[sequence]
        try:
            return _from_coco(pairs, sequence)
        except (KeyError, TypeError, ValueError) as error:
            raise DamagedFileError(self.path, f'3DPW in COCO\'s form (sequence {sequence})', error) from error


FORMS = {reader.form: reader for reader in (OfficialFiles, CocoFiles)}


def _from_pickle(content: dict, sequence: str) -> Persons:
    genders = [GENDERS[str(gender)] for gender in content.get('genders', content.get('gender', ()))]  # readme: `gender`
    cameras = _array(content['cam_poses'], (None, 4, 4), 'cam_poses')
    K = _array(content['cam_intrinsics'], (3, 3), 'cam_intrinsics')
    rotations = cameras[:, :3, :3]
    count, rows, lost = len(cameras), [], defaultdict(list)
    if not genders:
        raise ValueError('it names the gender of nobody')
    for actor, gender in enumerate(genders):
        def field(name, shape, actor=actor):
            return _array(content[name][actor], (count, *shape), f'{name} of actor {actor}')
        betas = np.asarray(content['betas'][actor], dtype=np.float64).reshape(-1)[:BETAS]
        betas = _array(betas, (BETAS,), f'betas of actor {actor}')
        valid = field('campose_valid', ()) > 0
        lost['camera_pose_not_valid'] += [f'{sequence}/{frame:05d}/{actor}' for frame in np.flatnonzero(~valid)]
        frames = np.flatnonzero(valid)
        columns = dict(frames=frames, actors=np.full(len(frames), actor), pose=field('poses', (POSE,))[frames],
                       transl=field('trans', (3,))[frames], betas=np.tile(betas, (len(frames), 1)),
                       joints=field('jointPositions', (3 * JOINTS,)).reshape(-1, JOINTS, 3)[frames],
                       detections=field('poses2d', (3, 18)).transpose(0, 2, 1)[frames])
        rows.append((columns, [gender] * len(frames)))
    joined = {name: np.concatenate([columns[name] for columns, _ in rows]) for name in rows[0][0]}
    frames = joined['frames']
    used = rotations[np.unique(frames)]  # where nobody's pose is valid, cam_poses may hold anything
    if not np.allclose(used @ used.transpose(0, 2, 1), np.eye(3), atol=1e-3):
        raise ValueError('a cam_poses that campose_valid stands for holds no rotation')
    return Persons([f'imageFiles/{sequence}/image_{frame:05d}.jpg' for frame in frames], frames, joined['actors'],
                   sum((genders for _, genders in rows), []), {name: joined[name] for name in ('pose', 'transl', 'betas')},
                   rotations[frames], cameras[frames, :3, 3], np.broadcast_to(K, (len(frames), 3, 3)), joined['joints'],
                   joined['detections'], None, None, dict(lost))


def _from_coco(pairs: list[tuple[dict, dict]], sequence: str) -> Persons:
    names = [str(image['file_name']).rsplit('/', 1)[-1] for image, _ in pairs]
    actors, seen = [], defaultdict(int)
    for name in names:
        actors.append(seen[name])
        seen[name] += 1
    smpl = [annotation['smpl_param'] for _, annotation in pairs]
    K = np.zeros((len(pairs), 3, 3))
    K[:, [0, 1], [0, 1]] = [image['cam_param']['focal'] for image, _ in pairs]
    K[:, :2, 2], K[:, 2, 2] = [image['cam_param']['princpt'] for image, _ in pairs], 1
    frames = np.array([int(''.join(filter(str.isdigit, name.rsplit('.', 1)[0]))) for name in names])
    params = {ours: np.stack([_array(one[theirs], (size,), theirs) for one in smpl])
              for ours, theirs, size in (('pose', 'pose', POSE), ('transl', 'trans', 3), ('betas', 'shape', BETAS))}
    return Persons([f'imageFiles/{sequence}/{name}' for name in names], frames, np.array(actors),
                   [GENDERS[one.get('gender', 'neutral')] for one in smpl], params, np.tile(np.eye(3), (len(pairs), 1, 1)),
                   np.zeros((len(pairs), 3)), K, None, None,
                   np.stack([_array(annotation['bbox'], (4,), 'bbox') for _, annotation in pairs]),
                   [(int(image['width']), int(image['height'])) for image, _ in pairs], {})


def _array(value, shape: tuple, name: str) -> np.ndarray:
    """float64 of `shape`, in which None is any number."""
    array = np.asarray(value, dtype=np.float64)
    if array.ndim != len(shape) or any(n is not None and n != m for n, m in zip(shape, array.shape, strict=True)):
        raise ValueError(f'{name} has the shape {array.shape}, not {shape}')
    return array
