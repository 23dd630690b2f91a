"""ARCTIC (Fan et al., CVPR 2023): two hands and a body around an object, seen by eight static cameras.

The raw official release is read (`arctic_files`) and prepared once; docs/datasets.md says where it comes from. Facts that are
easily missed, with their source in zc-alexfan/arctic:
    image n shows annotation n - ioi_offset of the subject (src/datasets/arctic_dataset.py);
    images 10 .. T-11 count, the others may be black (src/arctic/split.py);
    camera v is row v - 1 of world2cam and intris_mat;
    MANO fingers are residual, SMPL-X fingers absolute; SMPL-X is gendered, with the subject's template and no betas
    (common/body_models.py);
    a root turns about its own rest joint, which the way from world to camera must know.
Field practice (SMPLer-X) takes every 10th record of the list sorted by sequence, view and frame; so does `stride`.
"""
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from mmengine.logging import print_log
from torch import Tensor

from hmradapter.fileio import DamagedFileError, sha256_file
from hmradapter.registry import SOURCES

from ..images import image_sizes
from ..labels import View, set_body, set_cameras, set_hand, set_meshes, set_visibility
from ..record import GENDERS, MODELS, SIDES, empty_records, set_flag
from ..store.writer import Part, sampled_digest
from .arctic_bodies import TRUTHS, ArcticBodies
from .arctic_files import SITE, VIEWS, ArcticFiles
from .source import Expected, Source, checked_stride

EDGE_FRAMES = 10        # images left out at either end of a sequence
MAX_WRIST_GAP = 0.10    # metres between SMPL-X's and MANO's wrist; fits agree to about 1 cm
SMPLX_WRISTS = dict(left=20, right=21)


@SOURCES.register_module()
class ArcticSource(Source):
    """Persons and hands of ARCTIC. There are no betas and no expressions to learn: a body is the subject's template, posed
    (rendered whole bodies have both, see docs/open_world.md).

    You will change: data_root, body_model_root, split.

    Args:
        data_root: the release's `arctic_data/data`.
        split: 'train' or 'val'; the labels of 'test' are not public.
        body_model_root: folder with `smplx/SMPLX_{MALE,FEMALE}.npz` and `mano/MANO_{LEFT,RIGHT}.pkl`.
        protocol: 'p1' or 'p2', which list of sequences.
        views: static cameras, 1-8.
        stride: every so many of the records sorted by sequence, view and frame.
        truth: true meshes to keep (126 KB a record): 'template', of the subject's own shape, or 'neutral', of
            the stored pose without a shape (the pseudo truth of SMPLer-X).
        common: as in `Source`.
    """
    name, title = 'arctic', 'ARCTIC'
    licence = 'MPI non-commercial, no redistribution'
    site = SITE
    splits, gives = ('train', 'val'), ('hands', 'persons')
    expected = (
        Expected('images/sXX/<seq>/<view>/%05d.jpg', 'full images (the cropped ones are cut around the object)'),
        Expected('raw_seqs/sXX/<seq>.mano.npy', 'hands'), Expected('raw_seqs/sXX/<seq>.smplx.npy', 'bodies'),
        Expected('meta/misc.json', 'cameras and subjects'), Expected('meta/subject_vtemplates/sXX.obj', 'subjects\' shapes'),
        Expected('splits_json/protocol_p1.json', 'which sequence is of which split'))
    body_models = ('smplx/SMPLX_{MALE,FEMALE}.npz', 'mano/MANO_{LEFT,RIGHT}.pkl')
    converter = 4

    def __init__(self, data_root, body_model_root, split: str = 'train', protocol: str = 'p1', views: Sequence[int] = VIEWS,
                 stride: int = 10, truth: str | None = None, **common):
        if split == 'test':
            raise ValueError("split is 'test': use 'train' or 'val'. The labels of 'test' (s03) are not public.")
        super().__init__(data_root, split, body_model_root, **common)
        if protocol not in ('p1', 'p2'):
            raise ValueError(f"protocol is {protocol!r}: ARCTIC has 'p1' and 'p2'.")
        if not views or not set(views) <= set(VIEWS):
            raise ValueError(f'views is {tuple(views)}: choose among the static cameras {VIEWS}; view 0 is egocentric, with a '
                             'distorted lens, and not read.')
        if truth is not None and truth not in TRUTHS:
            raise ValueError(f'truth is {truth!r}: choose one of {TRUTHS}, or None to keep no meshes.')
        self.list_of, self.views, self.stride, self.truth = protocol, tuple(sorted(set(views))), checked_stride(stride), truth

    @property
    def protocol(self) -> dict:
        return dict(protocol=self.list_of, split=self.split, views=self.views, stride=self.stride, truth=self.truth)

    @cached_property
    def files(self) -> ArcticFiles:
        return ArcticFiles(self.data_root, self.list_of, self.missing)

    @cached_property
    def units(self) -> list[str]:
        return self.files.sequences(self.split)

    @cached_property
    def bodies(self) -> ArcticBodies:
        return ArcticBodies(self.files, self.body_model_root, sorted({name.split('/')[0] for name in self.units}))

    @cached_property
    def convert(self) -> 'ArcticConverter':
        return ArcticConverter(self.files, self.units, self.bodies, self.views, self.stride, self.verify_images, self.truth)

    def templates(self) -> np.ndarray:
        return self.bodies.templates()

    def body_model_files(self) -> list[Path]:
        return self.bodies.model_files(self.truth)

    def fingerprint(self) -> dict:
        """Small files by their hash, sequences by size and three samples of their bytes."""
        files = self.files
        small = [files.misc_path, files.split_path, *(files.template_path(subject) for subject in self.bodies.subjects)]
        raw = [path for sequence in self.units
               for path in (files.mano_path(sequence), files.smplx_path(sequence), files.visibility_path(sequence))]
        return dict(release='arctic_data/data', rendered=files.rendered, sequences=len(self.units),
                    raw_seqs=sampled_digest(files.root, raw), edge_frames=EDGE_FRAMES,
                    **{path.relative_to(files.root).as_posix(): sha256_file(path) for path in small if path.exists()})


class ArcticConverter:
    """Sequence to records. `__call__` is deterministic; what it leaves out, or leaves without a label, it counts by reason."""

    def __init__(self, files: ArcticFiles, sequences: Sequence[str], bodies: ArcticBodies, views: Sequence[int], stride: int,
                 verify_images: bool, truth: str | None = None):
        self.files, self.sequences, self.bodies, self.views, self.stride = files, list(sequences), bodies, views, stride
        self.verify_images, self.truth = verify_images, truth

    @cached_property
    def plan(self) -> dict[str, list[tuple[int, int]] | str]:
        """(view, image number) pairs of every sequence after the stride, or why it cannot be read."""
        plan, position = {}, 0
        for sequence in self.sequences:
            try:
                count = len(self.files.hands(sequence)['left']['rot'])
            except FileNotFoundError:
                plan[sequence] = 'sequence_without_hands_file'
                continue
            except DamagedFileError as error:
                print_log(str(error), 'current')
                plan[sequence] = 'sequence_with_damaged_hands_file'
                continue
            pairs = [(view, number) for view in self.views for number in range(EDGE_FRAMES, count - EDGE_FRAMES)]
            plan[sequence] = pairs[-position % self.stride::self.stride]
            position += len(pairs)
        return plan

    def __call__(self, sequence: str) -> Part:
        part = Part(empty_records(0, 'arctic'), [], [])
        plan = self.plan[sequence]
        if isinstance(plan, str):
            part.drop(plan, str(self.files.mano_path(sequence)))
            return part
        hands = self.files.hands(sequence)
        about = self.files.subject(sequence.split('/')[0])
        pairs = self._usable(sequence, plan, about, len(hands['left']['rot']), part)
        part.records = empty_records(len(pairs), 'arctic')
        part.paths = [self.files.image_path(sequence, *pair) for pair in pairs]
        part.keys = [f'arctic/{sequence}/{view}/{number:05d}' for view, number in pairs]
        if pairs:
            self._fill(part, sequence, np.array(pairs), about, hands)
        return part

    def _usable(self, sequence: str, plan: list, about: dict, count: int, part: Part) -> list[tuple[int, int]]:
        """The pairs with an annotation and a whole image of the announced size."""
        annotated = []
        for view, number in plan:
            if 0 <= number - about['ioi_offset'] < count:
                annotated.append((view, number))
            else:
                part.drop('frame_without_annotation', self.files.image_path(sequence, view, number))
        paths = [self.files.image_path(sequence, *pair) for pair in annotated]
        usable = []
        found = image_sizes([self.files.root / path for path in paths], self.verify_images)
        for pair, path, size in zip(annotated, paths, found, strict=True):
            if size == tuple(about['image_size'][pair[0]]):
                usable.append(pair)
            else:
                part.drop(size if isinstance(size, str) else 'image_of_other_size', path)
        return usable

    def _fill(self, part: Part, sequence: str, pairs: np.ndarray, about: dict, hands: dict) -> None:
        subject, records = sequence.split('/')[0], part.records
        records['seq'], records['view'], records['frame'] = self.sequences.index(sequence), pairs[:, 0], pairs[:, 1]
        records['offset'] = np.arange(len(records))
        records['gender'], records['model'] = GENDERS.index(about['gender']), MODELS.index('smplx')
        set_flag(records, 'has_image')
        camera = torch.from_numpy(about['world2cam'][pairs[:, 0] - 1])
        view = View(camera[:, :3, :3], camera[:, :3, 3], torch.from_numpy(about['intris_mat'][pairs[:, 0] - 1]),
                    torch.from_numpy(about['image_size'][pairs[:, 0]]))
        set_cameras(records, view)
        frames, rows = np.unique(pairs[:, 1] - about['ioi_offset'], return_inverse=True)  # views share frames: pose each once
        wrists = {side: self._fill_hand(part, side, hands[side], frames, rows, view) for side in SIDES}
        count = len(hands['left']['rot'])
        self._fill_body(part, sequence, subject, frames, rows, view, wrists, count)
        tables = self.files.visibility(sequence, count)
        if tables is not None:
            set_visibility(records, {side: table[frames[rows], pairs[:, 0]] for side, table in tables.items()})

    def _fill_hand(self, part: Part, side: str, hand: dict, frames: np.ndarray, rows: np.ndarray, view: View) -> Tensor:
        """Returns the wrist (F, 3) in the world, NaN where the hand is not finite."""
        params = {name: torch.from_numpy(hand[name][frames]) for name in ('rot', 'pose', 'trans', 'shape')}
        params['pose'] = params['pose'] + self.bodies.hand_mean(side)  # residual on disk, absolute from here on
        points, root = self.bodies.pose_hand(side, params)
        rot, pose, trans, shape = (params[name][rows] for name in ('rot', 'pose', 'trans', 'shape'))
        pose = pose.unflatten(-1, (15, 3))
        boxed = set_hand(part.records, side, pose, rot, trans, shape, root[rows], points[rows], view).numpy()
        finite = torch.stack([value.float().flatten(1).isfinite().all(1) for value in (points, *params.values())]).all(0)
        finite = finite.numpy()[rows]
        for i in np.flatnonzero(~boxed):
            part.lacks(f'{side}_hand_outside_image' if finite[i] else f'{side}_hand_not_finite', part.keys[i])
        return points[:, 0]

    def _fill_body(self, part: Part, sequence: str, subject: str, frames: np.ndarray, rows: np.ndarray, view: View,
                   wrists: dict, count: int) -> None:
        try:
            body = self.files.body(sequence, count)
        except FileNotFoundError:
            part.lacks('body_file_missing', str(self.files.smplx_path(sequence)), len(rows))
            return
        except DamagedFileError as error:
            print_log(str(error), 'current')
            part.lacks('body_file_damaged', str(self.files.smplx_path(sequence)), len(rows))
            return
        params = {name: torch.from_numpy(value[frames]) for name, value in body.items()}
        points, root = self.bodies.pose_body(subject, params)
        finite = torch.stack([value.float().flatten(1).isfinite().all(1) for value in (points, *params.values())]).all(0)
        gaps = torch.stack([(points[:, joint] - wrists[side]).norm(dim=-1) for side, joint in SMPLX_WRISTS.items()])
        near = ~(gaps > MAX_WRIST_GAP).any(0)  # NaN of a hand that is not finite says nothing about the body
        for i, row in enumerate(rows):
            if not (finite[row] and near[row]):
                part.lacks('body_away_from_hands' if finite[row] else 'body_not_finite', part.keys[i])
        valid = (finite & near)[rows]
        set_body(part.records, {name: params[name][rows] for name in params if 'hand' not in name},
                 root[rows], points[rows], valid, view)
        if 'betas_neutral' in params:  # of rendered data only: these people are the neutral model's, too
            records, betas = part.records, params['betas_neutral'][rows]
            records['betas'][:, :betas.shape[1]], records['num_betas'] = torch.where(valid[:, None], betas, 0.0), betas.shape[1]
            records['gender'] = GENDERS.index('neutral')
            set_flag(records, 'has_betas', valid.numpy())
        if self.truth is not None:
            meshes = self.bodies.pose_mesh(subject, params, self.truth)
            part.vertices = set_meshes(part.records, valid.numpy(), meshes, rows, view)
        part.records['template'] = np.where(valid.numpy(), self.bodies.subjects.index(subject), -1)

