"""Persons of a prepared store as samples for the whole-body expert: what every data set with persons shares."""
import numpy as np
import torch

from hmradapter.geometry.rotations import axis_angles_to_rotmats
from hmradapter.registry import DATASETS
from hmradapter.structures.joints import POSE53_PARTS, WHOLE137_FROM_SMPLX144

from .person_boxes import part_boxes
from .record import GENDERS, MODELS, PERSON_VIEW, SIDES, flag_bits
from .store_dataset import StoreDataset, as_tensor

NEEDED = PERSON_VIEW | flag_bits(['has_image'])
BOXES = ('has_bbox_left_hand', 'has_bbox_right_hand', 'has_bbox_face')  # in the order of `person_boxes.PARTS`
NUM_BETAS = 10
ORDER = list(WHOLE137_FROM_SMPLX144)


@DATASETS.register_module()
class PersonDataset(StoreDataset):
    """One item per person with a box, of any data set: `dict(type='PersonDataset', source=dict(type='EHFSource', ...))`. With
    `test_mode` it carries the true mesh where the store has any.

    Args:
        as in `StoreDataset`.
    """
    what = 'person with a box'

    def usable(self, flags: np.ndarray) -> np.ndarray:
        """Which rows (R,) have a person to give."""
        return (flags & np.uint64(NEEDED)) == NEEDED

    def get_data_info(self, idx: int) -> dict:
        """Person number `idx` as transforms take it: pixels of the image, metres of the camera frame."""
        row = self.item(idx)
        record = self.store.record(row)
        about = self.about(idx, record)
        box = record['bbox_body']
        info = dict(person_labels(record), **part_boxes(_part_boxes(record), about['img_size']), **about,
                    key=self.store.key(row), bbox_xywh=np.concatenate((box[:2], box[2:] - box[:2])),
                    gender=GENDERS[record['gender']], visibility=_visibility(record))
        if self.test_mode and self.store.has_vertices:
            mesh = self.store.vertices(int(record['verts_row']))
            info['has_vertices'] = float(mesh is not None)
            info['vertices'] = torch.zeros(self.store.mesh_size, 3) if mesh is None else torch.from_numpy(mesh)
        return info


def person_labels(record: np.void) -> dict:
    """Labels of a record's person; what is missing is zero (rotations: identity) with validity or confidence 0.

    keypoints_2d (137, 3) px and keypoints_3d (137, 4) m are the points of SMPL-X, those of the hands too: the expert's hands
    hang on SMPL-X's wrists, from which a separately fitted MANO hand (`hand_kpts*`) may be a centimetre off.
    pose (53, 3, 3), fingers absolute, pose_valid (53,); betas (10,), labelled only where they are of the neutral SMPL-X, since
    every other model has its own space of shapes; expression (10,); transl (3,) m.
    """
    flags = int(record['flags'])

    def has(name: str) -> float:
        return float(bool(flags & flag_bits([name])))

    vectors = dict(global_orient=record['global_orient'][None], body_pose=record['body_pose'],
                   jaw_pose=record['jaw_pose'][None])
    valid = dict(global_orient=has('has_global_orient'), body_pose=has('has_body_pose') * record['body_pose_valid'],
                 jaw_pose=has('has_jaw'))
    for i, side in enumerate(SIDES):
        vectors[f'{side}_hand_pose'], valid[f'{side}_hand_pose'] = record['hand_pose'][i], has(f'has_{side}_hand_pose')
    pose, pose_valid = torch.zeros(53, 3), torch.zeros(53)
    for name, part in POSE53_PARTS.items():
        pose[part], pose_valid[part] = torch.from_numpy(vectors[name]), torch.as_tensor(valid[name], dtype=torch.float32)
    neutral = MODELS[record['model']] == 'smplx' and GENDERS[record['gender']] == 'neutral'
    has_betas = has('has_betas') * neutral
    return dict(pose=axis_angles_to_rotmats(pose.numpy()), pose_valid=pose_valid,
                keypoints_2d=as_tensor(record['kpts2d'][ORDER]), keypoints_3d=as_tensor(record['kpts3d'][ORDER]),
                betas=as_tensor(record['betas'][:NUM_BETAS]) * has_betas, has_betas=has_betas,
                expression=as_tensor(record['expression']), has_expression=has('has_expression'),
                transl=as_tensor(record['transl']))


def _part_boxes(record: np.void) -> list:
    """Tight boxes (4,) xywh of left hand, right hand and face, None where there is none."""
    corners, flags = (*record['bbox_hand'], record['bbox_face']), int(record['flags'])
    return [np.concatenate((box[:2], box[2:] - box[:2])) if flags & flag_bits([name]) else None
            for box, name in zip(corners, BOXES, strict=True)]


def _visibility(record: np.void) -> float | None:
    """Share of the more hidden hand's pixels in sight, None where it is not known of both."""
    known = flag_bits([f'has_{side}_hand_visibility' for side in SIDES])
    return float(record['hand_visibility'].min()) if int(record['flags']) & known == known else None
