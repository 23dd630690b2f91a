"""ARCTIC's release layout, written: what `datasets.sources.arctic` reads, with the release's frames, units and conventions.

World frame, metres, axis-angle; hands of `.mano.npy` residual (absolute minus the mean hand), of `.smplx.npy` absolute; objects
in mm; misc.json's row `view - 1` belongs to view 1..8. An image's number minus the subject's ioi_offset is its annotation.
The release uses images 10 .. T-11 of T annotations; so a motion of N frames gets N images, from number 10 on, and N + 20
annotations, in which the person holds still before and after.
"""
import json
from dataclasses import fields
from pathlib import Path

import numpy as np
import torch

from hmradapter.body_models.mano import MANOLayer
from hmradapter.fileio import atomic_write
from hmradapter.geometry.kinematics import chain_product
from hmradapter.structures.joints import ARM_CHAIN
from hmradapter.synthetic.cameras import Camera
from hmradapter.synthetic.curves import rotvecs
from hmradapter.synthetic.objects import HandheldObject
from hmradapter.synthetic.people import SIDES, Person
from hmradapter.synthetic.scene import WorldMotion

MM = 1000.0
FINGERS = {'left': slice(25, 40), 'right': slice(40, 55)}  # joints of SMPL-X
NOWHERE = np.array([0.0, 0.0, -10.0])  # where the object is said to be when there is none: under the floor
EDGE_FRAMES = 10  # images at either end that the release leaves out
RAW_KINDS = ('mano', 'smplx', 'object', 'egocam.dist')


def raw_path(root: Path, sequence: str, kind: str) -> Path:
    """sequence 'sXX/<seq>', kind of RAW_KINDS."""
    return root / 'raw_seqs' / f'{sequence}.{kind}.npy'


def image_folder(root: Path, sequence: str) -> Path:
    """Has a folder for each view."""
    return root / 'images' / sequence


def image_number(frame: int) -> int:
    """Of a frame 0 .. N-1 of the motion."""
    return EDGE_FRAMES + frame


def visibility_path(root: Path, sequence: str) -> Path:
    """Ours, not ARCTIC's: left, right (T, views) share of a hand's pixels in sight, *_inside share of its vertices in the
    image, both 0 where there is no image; views (views,)."""
    return root / 'meta' / 'visibility' / f'{sequence}.npz'


def write_raw(root: Path, sequence: str, person: Person, motion: WorldMotion, ioi_offset: int,
              hands: dict[str, MANOLayer], betas_neutral: np.ndarray | None = None) -> None:
    """The four .npy files of a sequence. Ours, not ARCTIC's: `expression` (T, 10) and `betas_neutral` (T, 10) in .smplx.npy,
    where given."""
    motion = _with_edges(motion, ioi_offset)
    contents = {'mano': {side: mano_parameters(person, motion, side, hands[side]) for side in ('right', 'left')},
                'smplx': smplx_parameters(motion, betas_neutral), 'object': object_parameters(motion),
                'egocam.dist': ego_camera(person, motion)}
    for kind in RAW_KINDS:
        with atomic_write(raw_path(root, sequence, kind)) as file:
            np.save(file, contents[kind], allow_pickle=True)


def smplx_parameters(motion: WorldMotion, betas_neutral: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """In the release there are no betas and no expression: the subject's template holds the shape, faces are at rest."""
    pose = rotvecs(motion.rotations)  # (T, 55, 3)
    parts = dict(global_orient=slice(0, 1), body_pose=slice(1, 22), jaw_pose=slice(22, 23), leye_pose=slice(23, 24),
                 reye_pose=slice(24, 25), left_hand_pose=FINGERS['left'], right_hand_pose=FINGERS['right'])
    out = {name: pose[:, joints].reshape(len(pose), -1).astype(np.float32) for name, joints in parts.items()}
    if motion.expression is not None:
        out['expression'] = motion.expression.astype(np.float32)
    if betas_neutral is not None:
        out['betas_neutral'] = np.tile(betas_neutral.astype(np.float32), (len(pose), 1))
    return dict(transl=motion.transl.astype(np.float32), **out)


def mano_parameters(person: Person, motion: WorldMotion, side: str, hand: MANOLayer) -> dict[str, np.ndarray]:
    """The same hand in MANO: its root turns as the arm's chain does, its wrist lies where the body's wrist is."""
    rotation = chain_product(torch.from_numpy(motion.rotations), ARM_CHAIN[side]).numpy()
    absolute = rotvecs(motion.rotations[:, FINGERS[side]]).reshape(len(rotation), 45)
    root = hand.root_joint(torch.from_numpy(person.mano_betas)[None]).numpy()
    return dict(rot=rotvecs(rotation).astype(np.float32), pose=(absolute - hand.hand_mean.numpy()).astype(np.float32),
                trans=(motion.wrists[side] - root).astype(np.float32), shape=person.mano_betas.astype(np.float32),
                fitting_err=np.zeros(len(rotation), np.float32))


def object_parameters(motion: WorldMotion) -> np.ndarray:
    """(T, 7): articulation rad, rotation axis-angle, translation mm."""
    count = len(motion.transl)
    if motion.object_rotation is None:
        return np.concatenate([np.zeros((count, 4)), np.tile(MM * NOWHERE, (count, 1))], axis=1).astype(np.float32)
    parts = [motion.articulation[:, None], rotvecs(motion.object_rotation), MM * motion.object_translation]
    return np.concatenate(parts, axis=1).astype(np.float32)


def ego_camera(person: Person, motion: WorldMotion) -> dict[str, np.ndarray]:
    """A camera at the eyes that looks along the head, under the release's names; no view 0 is rendered."""
    head = chain_product(torch.from_numpy(motion.rotations), (0, 3, 6, 9, 12, 15)).numpy()
    looks = np.array([[-1.0, 0, 0], [0, -1, 0], [0, 0, 1]])  # SMPL-X's head (y up, z forward) to a camera (y down)
    rotation = looks @ head.swapaxes(-1, -2)
    middle = (person.at('left_eye_smplhf') + person.at('right_eye_smplhf')) / 2
    eyes = np.abs(person.template - middle).sum(axis=1).argmin()
    translation = -np.einsum('tij,tj->ti', rotation, motion.vertices[:, eyes])[..., None]
    intrinsics = np.array([[1900.0, 0, 1399.5], [0, 1900, 999.5], [0, 0, 1]])
    return {'R_k_cam_np': rotation.astype(np.float32), 'T_k_cam_np': translation.astype(np.float32),
            'intrinsics': intrinsics.astype(np.float32), 'dist8': np.zeros(8, np.float32),
            'R0': rotation[0].astype(np.float32), 'T0': translation[0].astype(np.float32),
            'ego_markers.ref': np.zeros((0, 3), np.float32), 'ego_markers.label': np.zeros(0, 'U1')}


def subject_entry(person: Person, cameras: list[Camera], ioi_offset: int) -> dict:
    """A subject's part of misc.json; row 0 of image_size is the egocentric view's."""
    sizes = [[2800, 2000], *([int(side) for side in camera.size] for camera in cameras)]
    return dict(gender=person.gender, ioi_offset=ioi_offset, image_size=sizes,
                world2cam=[camera.world_to_cam.tolist() for camera in cameras],
                intris_mat=[camera.K.tolist() for camera in cameras])


def write_meta(root: Path, subjects: dict[str, dict], people: list[Person], things: list[HandheldObject],
               splits: dict[str, list[str]]) -> None:
    """misc.json, templates, and last the split, without which a folder is not complete."""
    for person in people:
        write_obj(root / 'meta' / 'subject_vtemplates' / f'{person.name}.obj', person.template, person.faces)
    for thing in things:
        folder = root / 'meta' / 'object_vtemplates' / thing.name
        write_obj(folder / 'mesh.obj', MM * thing.vertices, thing.faces)
        _write_json(folder / 'parts.json', thing.part.tolist())  # 0 turns with the articulation ("top"), 1 does not
    _write_json(root / 'meta' / 'misc.json', subjects)
    _write_json(root / 'splits_json' / 'protocol_p1.json', splits)


def write_obj(path: Path, vertices: np.ndarray, faces: np.ndarray) -> None:
    """Nine digits: a float32 comes back exactly."""
    with atomic_write(path, 'w') as file:
        file.writelines(f'v {x:.9g} {y:.9g} {z:.9g}\n' for x, y, z in vertices.astype(np.float32))
        file.writelines(f'f {a} {b} {c}\n' for a, b, c in faces + 1)


def write_visibility(root: Path, sequence: str, views: list[int], table: dict[str, np.ndarray], ioi_offset: int) -> None:
    """table: name -> (N, views), a row for each frame of the motion; written with a row for each annotation."""
    edges = [(EDGE_FRAMES - ioi_offset, EDGE_FRAMES + ioi_offset), (0, 0)]
    with atomic_write(visibility_path(root, sequence)) as file:
        np.savez(file, views=np.array(views), **{name: np.pad(rows, edges).astype(np.float32) for name, rows in table.items()})


def empty_visibility(num_frames: int, num_views: int) -> dict[str, np.ndarray]:
    """Tables to be filled."""
    return {name: np.zeros((num_frames, num_views)) for side in SIDES for name in (side, f'{side}_inside')}


def _with_edges(motion: WorldMotion, ioi_offset: int) -> WorldMotion:
    """The motion with still frames around it, so that annotation `image number - ioi_offset` is the image's."""
    def hold(rows: np.ndarray) -> np.ndarray:
        return np.pad(rows, [(EDGE_FRAMES - ioi_offset, EDGE_FRAMES + ioi_offset)] + [(0, 0)] * (rows.ndim - 1), mode='edge')

    held = {field.name: getattr(motion, field.name) for field in fields(motion)}
    held['wrists'] = {side: hold(places) for side, places in motion.wrists.items()}
    return WorldMotion(**{name: hold(rows) if isinstance(rows, np.ndarray) else rows for name, rows in held.items()})


def _write_json(path: Path, content) -> None:
    with atomic_write(path, 'w') as file:
        json.dump(content, file)
