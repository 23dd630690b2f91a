"""FreiHAND (Zimmermann et al., ICCV 2019): right hands in 224 x 224 pixels with MANO fits, each training hand four times.

Facts that are easily missed: labels are of the first 32560 images (base hands), image `base + k * 32560` shows the same hand
before another background; splits must go by base hand, or validation repeats what was trained on; the MANO vector has residual
fingers, and instead of a translation the middle knuckle (HAND21 number 9), scaled orthographically; tips are other vertices
than the `smplx` package's; downloads from before October 2019 were fitted with another version of MANO.
Source: lmb-freiburg/freihand `utils/model.py`, `utils/fh_utils.py`; the split of ExPose.
"""
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hmradapter.body_models import MANOLayer
from hmradapter.body_models.model_files import find_model_file
from hmradapter.geometry.rotations import axis_angle_to_rotmat
from hmradapter.registry import SOURCES
from hmradapter.structures.joints import HAND21_TIPS

from ..images import image_sizes
from ..labels import View, set_cameras, set_hand, set_meshes
from ..record import HAND, MODELS, empty_records, set_flag
from ..store.writer import Part, sampled_digest
from .freihand_files import SHAPES, FreiHANDFiles
from .source import Expected, Source, SplitNotAvailableError

VERSIONS = ('gs', 'hom', 'sample', 'auto')  # green screen, homogenised, colourised from samples, automatically
FOLDERS = dict(train='training', val='training', evaluation='evaluation')
SIZE = (224, 224)
ROOT = 9                # HAND21's middle knuckle, which the MANO vector places
UNIT = 2048             # base hands converted at once
MAX_GAP = 0.005         # metres between a point of the files and that of the posed model, which are one to the file's digits
MAX_TIP_GAP = 0.015     # and for tips, of which those of ring and little finger are neighbouring vertices
GAPS = np.array([MAX_TIP_GAP if joint in HAND21_TIPS else MAX_GAP for joint in range(21)])


@SOURCES.register_module()
class FreiHANDSource(Source):
    """Right hands of FreiHAND. Keypoints are those of `xyz.json`.

    You will change: data_root, body_model_root.

    Args:
        data_root: the folder FreiHAND_pub_v2, with what FreiHAND_pub_v2_eval has in it for 'evaluation'.
        body_model_root: folder with mano/MANO_RIGHT.pkl.
        split: 'train', 'val' (the last `held_out` of the base hands) or 'evaluation'.
        held_out: share of the base hands that 'train' leaves to 'val'; nothing to 'evaluation'. ExPose's is 0.2.
        versions: backgrounds of each training hand, of VERSIONS; all by default. 'evaluation' has only one.
        keep_vertices: keep the meshes of `verts.json` in `verts.npy`, 12 bytes a vertex.
        common: as in `Source`.
    """
    name, title = 'freihand', 'FreiHAND'
    licence = 'research only, no commercial use'
    site = 'https://lmb.informatik.uni-freiburg.de/projects/freihand (FreiHAND_pub_v2.zip, FreiHAND_pub_v2_eval.zip)'
    splits, gives = tuple(FOLDERS), ('hands',)
    expected = (Expected('training/rgb/%08d.jpg', 'images, four of each hand'),
                Expected('training_K.json', 'cameras'), Expected('training_mano.json', 'MANO vectors'),
                Expected('training_xyz.json', 'joints'),
                Expected('training_verts.json', 'meshes, for keep_vertices', optional=True),
                Expected('evaluation/rgb/%08d.jpg', 'images of the split evaluation', optional=True),
                Expected('evaluation_K.json (_mano, _xyz, _verts)', 'their labels', optional=True))
    release, body_models = 'FreiHAND_pub_v2', ('mano/MANO_RIGHT.pkl',)

    def __init__(self, data_root, body_model_root, split: str = 'train', held_out: float = 0.0,
                 versions: Sequence[str] | None = None, keep_vertices: bool = False, **common):
        super().__init__(data_root, split, body_model_root, **common)
        if not 0 <= held_out < 1:
            raise ValueError(f"held_out is {held_out}: give the share of base hands that 'train' leaves to 'val', at least 0, "
                             'below 1, and the same to both.')
        if split == 'val' and not held_out:
            raise SplitNotAvailableError("held_out is 0: split='val' needs some of the base hands, ExPose's share is 0.2; give "
                                         "'train' the same.")
        if split == 'evaluation' and versions is not None:
            raise SplitNotAvailableError(f'versions is {versions}, but that is about the training images: leave it out with '
                                         "split='evaluation'.")
        if versions is not None and (isinstance(versions, str) or not versions or set(versions) - set(VERSIONS)):
            raise ValueError(f'versions is {versions!r}: give a list of at least one of {VERSIONS}.')
        self.held_out, self.keep_vertices = 0.0 if split == 'evaluation' else float(held_out), bool(keep_vertices)
        self.versions = VERSIONS[:1] if split == 'evaluation' else tuple(v for v in VERSIONS if v in (versions or VERSIONS))

    @property
    def protocol(self) -> dict:
        return dict(split=self.split, held_out=self.held_out, versions=self.versions, keep_vertices=self.keep_vertices)

    @classmethod
    def expected_here(cls, split: str, options: dict) -> tuple[Expected, ...]:
        if split == 'evaluation':
            return tuple(entry._replace(optional=False) for entry in cls.expected if entry.place.startswith('evaluation'))
        return tuple(entry._replace(optional=entry.optional and not options.get('keep_vertices', False))
                     for entry in cls.expected if entry.place.startswith('training'))

    @cached_property
    def files(self) -> FreiHANDFiles:
        return FreiHANDFiles(self.data_root, FOLDERS[self.split], self.missing)

    @cached_property
    def units(self) -> list[str]:
        """Ranges of base hands, first to last."""
        border = self.files.count - round(self.files.count * self.held_out)
        start, stop = (border, self.files.count) if self.split == 'val' else (0, border)
        return [f'{first:05d}-{min(first + UNIT, stop) - 1:05d}' for first in range(start, stop, UNIT)]

    @cached_property
    def layer(self) -> MANOLayer:
        return MANOLayer(str(self.body_model_root / 'mano'), 'right')

    @cached_property
    def meshes(self) -> np.ndarray:
        """(N, V, 3) float32, metres, camera."""
        return self.files.entries('verts', tuple(self.layer.v_template.shape), np.float32)

    def body_model_files(self) -> list[Path]:
        return [find_model_file(self.body_model_root / 'mano', 'MANO', 'MANO_RIGHT')]

    def fingerprint(self) -> dict:
        names = [*SHAPES, *(['verts'] if self.keep_vertices else [])]
        return dict(files=sampled_digest(self.data_root, [self.files.path(name) for name in names]))

    def convert(self, unit: str) -> Part:
        """The images of a range of base hands, versions of one hand next to each other."""
        first, last = map(int, unit.split('-'))
        part = Part(empty_records(0, self.name, HAND), [], [])
        base = self._sorted_out(part, np.arange(first, last + 1), self.files.whole[first:last + 1], 'damaged_entry')
        if not len(base):
            return part
        hands, meshes, base = self._labelled(part, base)
        chosen, versions = self._with_images(part, base)
        numbers = base[chosen] + self.files.count * versions
        part.records, part.paths = hands[chosen], [self.files.image(number) for number in numbers]
        part.keys = [f'freihand/{self.files.folder}/{number:08d}' for number in numbers]
        records = part.records
        records['seq'], records['offset'] = self.units.index(unit), np.arange(len(chosen))
        records['view'], records['frame'] = versions, base[chosen]
        set_flag(records, 'has_image')
        if meshes is not None:
            view = _view(self.files.labels['K'][base[chosen]])
            part.vertices = set_meshes(records, np.ones(len(chosen), bool), meshes, chosen, view)
        return part

    def _labelled(self, part: Part, base: np.ndarray) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
        """Records of those base hands that can be used, still without images; their meshes if asked for; their numbers."""
        labels = {name: values[base] for name, values in self.files.labels.items()}
        params, root, joints, vertices = self._posed(labels)
        good = (np.linalg.norm(joints - labels['xyz'], axis=-1) < GAPS).all(1)  # NaN is not
        self._sorted_out(part, base, good, 'joints_away_from_model')
        meshes = self.meshes[base] if self.keep_vertices else None
        if meshes is not None:
            near = np.linalg.norm(vertices - meshes, axis=-1).max(1) < MAX_GAP
            self._sorted_out(part, base, near | ~good, 'mesh_away_from_model')
            good &= near
        hands, view = empty_records(len(base), self.name, HAND), _view(labels['K'])
        hands['model'] = MODELS.index('mano')
        set_cameras(hands, view, world=False)
        shown = set_hand(hands, 'right', *params, root, torch.from_numpy(labels['xyz']), view).numpy()
        self._sorted_out(part, base, shown | ~good, 'hand_outside_image')
        good &= shown
        return hands[good], None if meshes is None else meshes[good], base[good]

    def _sorted_out(self, part: Part, base: np.ndarray, good: np.ndarray, reason: str) -> np.ndarray:
        """The good base hands; the images of the others are counted."""
        for number in base[~good]:
            part.drop(reason, self.files.image(number), len(self.versions))
        return base[good]

    def _with_images(self, part: Part, base: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of the images of the hands `base` those that are whole: which of the hands (R,), and its version (R,)."""
        chosen = np.repeat(np.arange(len(base)), len(self.versions))
        versions = np.tile([VERSIONS.index(version) for version in self.versions], len(base))
        paths = [self.files.image(number) for number in base[chosen] + self.files.count * versions]
        sizes = image_sizes([self.data_root / path for path in paths], self.verify_images)
        good = np.array([size == SIZE for size in sizes], bool)
        for i in np.flatnonzero(~good):
            part.drop(sizes[i] if isinstance(sizes[i], str) else 'image_of_other_size', paths[i])
        return chosen[good], versions[good]

    @torch.no_grad()
    def _posed(self, labels: dict[str, np.ndarray]) -> tuple[tuple[Tensor, ...], Tensor, np.ndarray, np.ndarray]:
        """Parameters (absolute pose, orient, transl, betas) in the camera, rest wrists (N, 3), joints (N, 21, 3) and vertices
        (N, V, 3) of the MANO vectors."""
        vector, K = torch.from_numpy(labels['mano'][:, 0]), torch.from_numpy(labels['K'])
        orient, fingers, betas, pixel, scale = vector.split((3, 45, 10, 2, 1), dim=1)
        pose = (fingers + self.layer.hand_mean).unflatten(1, (15, 3))
        turns = axis_angle_to_rotmat(torch.cat((orient[:, None], pose), dim=1)).float()
        out = self.layer(turns[:, :1], turns[:, 1:], betas.float())
        focal = (K[:, :1, 0] + K[:, 1:2, 1]) / 2
        transl = torch.cat((pixel - K[:, :2, 2], focal), dim=1) / scale - out.keypoints[:, ROOT]
        points = [(points.double() + transl[:, None]).numpy() for points in (out.keypoints, out.vertices)]
        return (pose, orient, transl, betas), self.layer.root_joint(betas.float()).double(), *points


def _view(K: np.ndarray) -> View:
    """Cameras that are the world themselves."""
    count = len(K)
    return View(torch.eye(3, dtype=torch.float64).expand(count, 3, 3), torch.zeros(count, 3, dtype=torch.float64),
                torch.from_numpy(K), torch.tensor(SIZE).expand(count, 2))
