"""ARCTIC's official files: where they lie, what they hold, whether they are whole. Nothing is interpreted here.

Layout (root = `arctic_data/data` of the release), source: zc-alexfan/arctic, docs/data/data_doc.md:
    images/sXX/<seq>/<view>/%05d.jpg               views 1-8 static, 0 egocentric
    raw_seqs/sXX/<seq>.{mano,smplx}.npy            pickled dicts, world frame, metres, axis-angle
    meta/misc.json                                 per subject: gender, ioi_offset, world2cam, intris_mat, image_size
    meta/subject_vtemplates/sXX.obj                the subject's own SMPL-X rest shape, metres
    splits_json/protocol_{p1,p2}.json              {'train', 'val', 'test'}: ['sXX/<seq>', ...]
Of rendered data, which is known by its meta/open_world.json, beyond the release:
    meta/visibility/sXX/<seq>.npz                  share of a hand in sight
    raw_seqs/sXX/<seq>.smplx.npy                   of whole bodies also RENDERED_SHAPES
"""
from collections.abc import Callable
from pathlib import Path

import numpy as np

from hmradapter.fileio import DamagedFileError, load_json, load_npz, load_object_npy

SITE = 'https://arctic.is.tue.mpg.de (register, then follow github.com/zc-alexfan/arctic, docs/data)'
VIEWS = tuple(range(1, 9))
MAX_METRES = 3.0  # of a template from its origin: millimetres are seen at once
MANO_SHAPES = dict(rot=(3,), pose=(45,), trans=(3,))
SMPLX_SHAPES = dict(transl=(3,), global_orient=(3,), body_pose=(63,), jaw_pose=(3,), leye_pose=(3,), reye_pose=(3,),
                    left_hand_pose=(45,), right_hand_pose=(45,))
RENDERED_SHAPES = dict(expression=(10,), betas_neutral=(10,))
RENDERED = 'open_world.json'  # below meta/: the arguments that rendered data were made with


class ArcticFiles:
    """Paths and contents of a release at `root`.

    Raises:
        FileNotFoundError: a file that everything depends on is missing; says which, and where the release comes from.
    """

    def __init__(self, root, protocol: str, missing: Callable[[Path], Exception] = FileNotFoundError):
        self.root = Path(root)
        self.misc_path = self.root / 'meta' / 'misc.json'
        self.rendered_path = self.root / 'meta' / RENDERED
        self.split_path = self.root / 'splits_json' / f'protocol_{protocol}.json'
        for path in (self.misc_path, self.split_path):
            if not path.is_file():
                raise missing(path)
        self.rendered = self.rendered_path.is_file()
        self.misc = load_json(self.misc_path)
        self.splits = load_json(self.split_path)
        for split in ('train', 'val'):
            names = self.splits.get(split)
            if not isinstance(names, list) or not all(isinstance(name, str) and name.count('/') == 1 for name in names):
                raise DamagedFileError(self.split_path, 'an ARCTIC split', f"{split!r} is no list of 'sXX/<sequence>'")

    def sequences(self, split: str) -> list[str]:
        """'sXX/<seq>' of a split, sorted. As in the official code, train is what val and test do not have."""
        held_out = set() if split != 'train' else {*self.splits.get('val', ()), *self.splits.get('test', ())}
        return sorted(set(self.splits[split]) - held_out)

    def mano_path(self, sequence: str) -> Path:
        return self.root / 'raw_seqs' / f'{sequence}.mano.npy'

    def smplx_path(self, sequence: str) -> Path:
        return self.root / 'raw_seqs' / f'{sequence}.smplx.npy'

    def visibility_path(self, sequence: str) -> Path:
        return self.root / 'meta' / 'visibility' / f'{sequence}.npz'

    def template_path(self, subject: str) -> Path:
        return self.root / 'meta' / 'subject_vtemplates' / f'{subject}.obj'

    def image_path(self, sequence: str, view: int, number: int) -> str:
        """Relative to the root."""
        return f'images/{sequence}/{view}/{number:05d}.jpg'

    def subject(self, name: str) -> dict:
        """gender, ioi_offset, world2cam (8, 4, 4), intris_mat (8, 3, 3), image_size (9, 2) of a subject; arrays float64."""
        if name not in self.misc:
            raise ValueError(f'{self.misc_path} has no subject {name!r}; it has {sorted(self.misc)}.')
        entry = self.misc[name]
        try:
            about = dict(gender=str(entry['gender']), ioi_offset=int(entry['ioi_offset']),
                         world2cam=np.array(entry['world2cam'], dtype=np.float64),
                         intris_mat=np.array(entry['intris_mat'], dtype=np.float64),
                         image_size=np.array(entry['image_size'], dtype=np.int64))
        except (KeyError, TypeError, ValueError) as error:
            raise DamagedFileError(self.misc_path, f'ARCTIC\'s misc.json (subject {name})', error) from error
        rotation, fault = about['world2cam'][..., :3, :3], None
        if about['gender'] not in ('male', 'female', 'neutral'):
            fault = f'its gender is {about["gender"]!r}'
        elif (about['world2cam'].shape, about['intris_mat'].shape, about['image_size'].shape) != ((8, 4, 4), (8, 3, 3), (9, 2)):
            fault = 'it needs 8 static cameras and 9 image sizes'
        elif not np.allclose(rotation @ rotation.transpose(0, 2, 1), np.eye(3), atol=1e-3):
            fault = 'a world2cam holds no rotation'
        elif not np.isfinite(np.concatenate((about['world2cam'].ravel(), about['intris_mat'].ravel()), dtype=np.float32)).all():
            fault = 'a camera has a number that is not finite'
        if fault:
            raise DamagedFileError(self.misc_path, f'ARCTIC\'s misc.json (subject {name})', fault)
        return about

    def hands(self, sequence: str) -> dict[str, dict[str, np.ndarray]]:
        """{'left', 'right'}: rot (T, 3), pose (T, 45) residual, trans (T, 3), shape (T, 10), world frame, float64."""
        path = self.mano_path(sequence)
        content = load_object_npy(path)
        hands = {}
        for side in ('left', 'right'):
            if not isinstance(content, dict) or not isinstance(content.get(side), dict):
                raise DamagedFileError(path, 'an ARCTIC .mano.npy', f'it has no dict {side!r}')
            hand = _arrays(path, content[side], MANO_SHAPES)
            count = len(hand['rot'])
            shape = np.asarray(content[side].get('shape', ()), dtype=np.float64)
            if shape.shape not in ((10,), (count, 10)):  # the release has (10,), its documentation says (T, 10)
                raise DamagedFileError(path, 'an ARCTIC .mano.npy', f'{side}.shape is {shape.shape}, not (10,)')
            hands[side] = dict(hand, shape=np.broadcast_to(shape, (count, 10)))
        if len(hands['left']['rot']) != len(hands['right']['rot']):
            raise DamagedFileError(path, 'an ARCTIC .mano.npy', 'its two hands have different numbers of frames')
        return hands

    def body(self, sequence: str, count: int) -> dict[str, np.ndarray]:
        """Arrays of SMPLX_SHAPES, and of RENDERED_SHAPES where a file of rendered data has them, with T = count in front;
        world frame, hands absolute, float64."""
        path = self.smplx_path(sequence)
        content = load_object_npy(path)
        if not isinstance(content, dict):
            raise DamagedFileError(path, 'an ARCTIC .smplx.npy', 'it holds no dict')
        more = {name: shape for name, shape in RENDERED_SHAPES.items() if self.rendered and name in content}
        body = _arrays(path, content, SMPLX_SHAPES | more)
        if len(body['transl']) != count:
            raise DamagedFileError(path, 'an ARCTIC .smplx.npy', f'it has {len(body["transl"])} frames, the hands {count}')
        return body

    def visibility(self, sequence: str, count: int) -> dict[str, np.ndarray] | None:
        """{'left', 'right'}: (T, 9) share of the hand's pixels in sight by view, NaN where unknown; None without a file,
        or where the data are not rendered."""
        path = self.visibility_path(sequence)
        if not (self.rendered and path.is_file()):
            return None
        content = load_npz(path, ('left', 'right', 'views'))
        tables = {}
        for side in ('left', 'right'):
            if content[side].shape != (count, len(content['views'])) or not set(content['views'].tolist()) <= set(VIEWS):
                raise DamagedFileError(path, 'a table of visibility', f'{side} has shape {content[side].shape}, not (T, views)')
            tables[side] = np.full((count, 1 + len(VIEWS)), np.nan)
            tables[side][:, content['views']] = content[side]
        return tables

    def template(self, subject: str) -> np.ndarray:
        """Rest shape (V, 3) float64, metres, in SMPL-X's vertex order."""
        path = self.template_path(subject)
        if not path.is_file():
            raise FileNotFoundError(f'{path} does not exist: SMPL-X in ARCTIC needs each subject\'s own template, which is '
                                    f'part of the release: {SITE}.')
        try:
            rows = [line.split()[1:4] for line in path.read_text().splitlines() if line.startswith('v ')]
            template = np.array(rows, dtype=np.float64).reshape(-1, 3)
        except ValueError as error:
            raise DamagedFileError(path, 'an OBJ template', error) from error
        if not np.isfinite(template).all() or np.abs(template).max(initial=0) > MAX_METRES:
            raise DamagedFileError(path, 'an OBJ template', f'it has vertices beyond {MAX_METRES} m')
        return template


def _arrays(path: Path, content: dict, shapes: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    arrays = {}
    for name, shape in shapes.items():
        try:
            value = np.asarray(content[name], dtype=np.float64)
        except (KeyError, TypeError, ValueError) as error:
            raise DamagedFileError(path, 'an ARCTIC sequence', f'{name!r} is missing or no numbers ({error!r})') from error
        if value.ndim != 1 + len(shape) or value.shape[1:] != shape or len(value) != len(next(iter(arrays.values()), value)):
            raise DamagedFileError(path, 'an ARCTIC sequence', f'{name!r} has shape {value.shape}, not (T, {shape[0]})')
        arrays[name] = value
    return arrays
