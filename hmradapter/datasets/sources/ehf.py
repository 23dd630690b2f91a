"""EHF (Pavlakos et al., CVPR 2019): 100 images of one person, each with a mesh of SMPL-X's topology; for evaluation only.

Layout (root = the flat folder of the release):
    NN_img.png, NN_img.jpg    1600x1200, NN = 01 .. 100
    NN_align.ply              the mesh, metres, in the scanner's frame
    NN_2Djnt.json             optional, OpenPose's joints of people[0]
    EHF.json                  optional, boxes as OSX, Hand4Whole and SMPLer-X distribute them (COCO style, xywh px)
Facts that are easily missed: the camera is fixed and known, and turns and moves the mesh (SMPLer-X turns it only, which is
enough once roots are aligned); there are no parameters to compare with. Source: EXPOSE `data/datasets/ehf.py`, SMPLer-X
`data/EHF/EHF.py`.
"""
from collections import Counter
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from mmengine.logging import print_log

from hmradapter.fileio import DamagedFileError, sha256_file
from hmradapter.geometry.rotations import axis_angle_to_rotmat
from hmradapter.registry import SOURCES

from ..labels import View, mesh_boxes, set_cameras, set_meshes
from ..person_boxes import person_box
from ..record import MODELS, empty_records, set_flag
from ..store.writer import Part, sampled_digest
from .ehf_files import BOXES, read_boxes, read_mesh, read_openpose
from .rows import drop_rows, intrinsics_of, usable_images, view_of
from .source import Expected, Source

ROTATION = (-2.98747896, 0.01172457, -0.05704687)   # axis-angle, scanner to camera
TRANSLATION = (-0.03609917, 0.43416458, 2.37101226)  # metres
FOCAL, PRINCPT, IMG_SIZE = 1498.22426237, (790.263706, 578.90334), (1600, 1200)


@SOURCES.register_module()
class EHFSource(Source):
    """All of EHF: persons without parameters, with true meshes; for evaluation only.

    You will change: data_root.

    Args:
        data_root: the release's flat folder.
        boxes: 'json' takes the boxes of EHF.json, with which figures are published; 'mesh' those around the projected meshes,
            which the hands and the face go without; None the first where there is an EHF.json.
        common: as in `Source`.
    """
    name, title = 'ehf', 'EHF'
    licence = 'SMPL-X research licence, no redistribution'
    site = 'https://smpl-x.is.tue.mpg.de (register, "EHF dataset")'
    splits, gives, trains = ('test',), ('persons',), False
    expected = (Expected('NN_img.png or NN_img.jpg', 'images, NN = 01 .. 100'), Expected('NN_align.ply', 'meshes'),
                Expected('NN_2Djnt.json', 'OpenPose\'s joints', optional=True),
                Expected('EHF.json', 'boxes of OSX, Hand4Whole and SMPLer-X', optional=True))

    def __init__(self, data_root, split: str = 'test', boxes: str | None = None, **common):
        super().__init__(data_root, split, **common)
        if boxes not in ('json', 'mesh', None):
            raise ValueError(f"boxes is {boxes!r}: use 'json', 'mesh' or None.")
        self.box_source = boxes or ('json' if (self.data_root / 'EHF.json').is_file() else 'mesh')

    @property
    def protocol(self) -> dict:
        return dict(split=self.split, boxes=self.box_source)

    @cached_property
    def convert(self) -> 'EHFConverter':
        return EHFConverter(self.data_root, self.box_source, self.verify_images, self.missing)

    @property
    def units(self) -> list[str]:
        return ['test'] if self.convert.names else []

    def fingerprint(self) -> dict:
        convert = self.convert
        files = sorted(path for name in convert.names for path in (convert.mesh_path(name), convert.openpose_path(name)))
        boxes = {convert.box_path.name: sha256_file(convert.box_path)} if self.box_source == 'json' else {}
        return dict(files=sampled_digest(self.data_root, files), **boxes)


class EHFConverter:
    """The folder to records; what is left out is counted by reason."""

    def __init__(self, root: Path, box_source: str, verify_images: bool, missing: Callable[[Path], Exception]):
        self.root, self.verify_images = root, verify_images
        self.box_path = root / 'EHF.json'
        numbered = {path.name.split('_')[0] for kind in ('align.ply', 'img.png', 'img.jpg') for path in root.glob(f'*_{kind}')}
        self.names = sorted(filter(str.isdigit, numbered), key=int)
        if not any(root.glob('*_align.ply')):
            raise missing(root / '01_align.ply')  # older copies with alignments/*.pkl are not read
        self.boxes = read_boxes(self.box_path) if box_source == 'json' else None

    def mesh_path(self, name: str) -> Path:
        return self.root / f'{name}_align.ply'

    def openpose_path(self, name: str) -> Path:
        return self.root / f'{name}_2Djnt.json'

    def __call__(self, unit: str) -> Part:
        part = Part(empty_records(0, 'ehf'), [], [])
        frames = self._with_meshes(self._with_images(part), part)
        view = fixed_view(len(frames))
        names = [name for name, _, _ in frames]
        meshes = np.stack([mesh for *_, mesh in frames]) if frames else np.zeros((0, 0, 3), np.float32)
        boxes, shown = mesh_boxes(meshes, np.arange(len(frames)), view)
        labelled = [self.boxes is None or person_box(self.boxes.get(name, {}).get('body_bbox', np.zeros(4)), IMG_SIZE, 1.0)
                    is not None for name in names]
        labelled, files = np.array(labelled, bool), [self.mesh_path(name).name for name in names]
        drop_rows(part, 'mesh_outside_image', ~shown, files)
        drop_rows(part, 'frame_without_box', shown & ~labelled, files)
        kept = np.flatnonzero(shown & labelled)
        part.records, part.paths = empty_records(len(kept), 'ehf'), [frames[i][1] for i in kept]
        part.keys = [f'ehf/test/{names[i]}' for i in kept]
        records, view = part.records, fixed_view(len(kept))
        records['frame'], records['offset'] = [int(names[i]) for i in kept], np.arange(len(kept))
        records['model'], records['bbox_body'] = MODELS.index('smplx'), boxes[kept]
        for flag in ('has_image', 'has_bbox_body'):
            set_flag(records, flag)
        set_cameras(records, view)
        part.vertices = set_meshes(records, np.ones(len(kept), bool), meshes, kept, view)
        for row, i in enumerate(kept):
            self._set_joints(records[row:row + 1], names[i], part)
            self._set_boxes(records[row:row + 1], names[i])
        return part

    def _with_images(self, part: Part) -> list[tuple[str, str]]:
        """(name, image) of frames with a whole image of EHF's size."""
        def image(name: str) -> str:
            listed = (self.boxes or {}).get(name, {}).get('file_name')
            return listed or (f'{name}_img.png' if (self.root / f'{name}_img.png').is_file() else f'{name}_img.jpg')
        images = [image(name) for name in self.names]
        whole, sizes = usable_images(part, self.root, images, self.verify_images)
        frames = [(self.names[i], images[i]) for i in whole]
        kept = drop_rows(part, 'image_of_other_size', (sizes != IMG_SIZE).any(1), [path for _, path in frames])
        return [frames[i] for i in kept]

    def _with_meshes(self, frames: list[tuple[str, str]], part: Part) -> list[tuple[str, str, np.ndarray]]:
        """(name, image, mesh (V, 3)) of frames with a whole mesh of the topology that most have."""
        found = []
        for name, image in frames:
            path = self.mesh_path(name)
            try:
                found.append((name, image, read_mesh(path)))
            except FileNotFoundError:
                part.drop('missing_mesh', path.name)
            except DamagedFileError as error:
                print_log(str(error), 'current')
                part.drop('damaged_mesh', path.name)
        usual = Counter(len(mesh) for *_, mesh in found).most_common(1)
        for name, _, mesh in found:
            if len(mesh) != usual[0][0]:
                part.drop('mesh_of_other_topology', self.mesh_path(name).name)
        return [frame for frame in found if len(frame[2]) == usual[0][0]]

    def _set_joints(self, record: np.ndarray, name: str, part: Part) -> None:
        try:
            joints = read_openpose(self.openpose_path(name))
        except FileNotFoundError:
            part.lacks('joints_file_missing', self.openpose_path(name).name)
        except DamagedFileError as error:
            print_log(str(error), 'current')
            part.lacks('joints_file_damaged', self.openpose_path(name).name)
        else:
            record['kpts2d'][0] = joints
            set_flag(record, 'has_kpts2d')

    def _set_boxes(self, record: np.ndarray, name: str) -> None:
        places = (record['bbox_body'][0], *record['bbox_hand'][0], record['bbox_face'][0])
        for place, (source, flag) in zip(places, BOXES.items(), strict=True):
            box = (self.boxes or {}).get(name, {}).get(source)
            if box is not None:
                place[:] = np.concatenate((box[:2], box[:2] + box[2:]))
                set_flag(record, flag)


def fixed_view(count: int) -> View:
    """EHF's camera, for `count` records."""
    rotation = axis_angle_to_rotmat(torch.tensor(ROTATION, dtype=torch.float64)).numpy()
    K, = intrinsics_of(np.array([[FOCAL, FOCAL]]), np.array([PRINCPT]))
    return view_of(*(np.broadcast_to(value, (count, *np.shape(value))) for value in (rotation, TRANSLATION, K, IMG_SIZE)))
