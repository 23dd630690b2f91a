"""SMPLer-X's person crops and HumanData targets: our reader and transforms against preprocess.npz and
humandata/expected.npz."""
import json
import re
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from hmradapter.datasets.formats.humandata import LARGEST_BETA, HumanData, Keypoints, read_humandata
from hmradapter.datasets.person_boxes import part_boxes, person_box
from hmradapter.datasets.transforms import HeatmapTargets, LoadImage, PersonCrop
from hmradapter.datasets.transforms.person_crop import transform_labels
from hmradapter.geometry import boxes, mirror
from hmradapter.geometry.cameras import project
from hmradapter.geometry.kinematics import move_root
from hmradapter.geometry.rotations import axis_angle_to_rotmat, rotmat_to_axis_angle
from hmradapter.models.losses import part_relative
from hmradapter.structures.joints import (
    POSE53_PARTS,
    WHOLE137_FROM_HUMANDATA,
    WHOLE137_FROM_SMPLX144,
    WHOLE137_MIRROR_PAIRS,
    WHOLE137_PARTS,
)

from .report import Row, compare
from .smplerx_network import SHORT, frame_of
from .toy_bodies import toy_smplx

PREPROCESS_INPUTS = ('image_uint8', 'boxes_xywh', 'ratios', 'case*_box_ratio_scale_rot_flip', 'resize_bbox_in')
HUMANDATA_INPUTS = ('aug_in_*', 'aug_trans', 'aug_rot')
ATOL = 1e-5
TIGHTER = 0.833  # of bbox_ratio: HumanData's boxes are padded already
HUMANDATA_CAMERA = dict(focal=(900.0, 950.0), princpt=(120.0, 90.0), rotation=(1.0, -1.0, -1.0), translation=(0.1, 0.2, 5.0))
SMALL_PARTS_RANGE = 0.3  # metres that the depth cells of hands and face cover where SMPL-X makes the targets


def check_preprocess(folder: Path) -> list[Row]:
    """Every array of preprocess.npz."""
    with np.load(folder / 'preprocess.npz') as data:
        arrays = {name: data[name] for name in data.files}
    settings = json.loads((folder / 'config.json').read_text())
    return [*_check_boxes(arrays), *_check_crops(arrays, settings)]


def _check_boxes(arrays: dict) -> Iterator[Row]:
    height, width = arrays['image_uint8'].shape[:2]
    for name in [name for name in arrays if re.fullmatch(r'box_\d+_\d+', name)]:
        i, j = map(int, name.split('_')[1:])
        box = person_box(arrays['boxes_xywh'][i], (width, height), float(arrays['ratios'][j]))
        if np.isnan(arrays[name]).any():
            yield compare(f'{name} refused', box is not None, False)
        else:
            yield compare(name, np.full(4, np.nan) if box is None else box, arrays[name], ATOL)
    for name in [name for name in arrays if re.fullmatch(r'resize_bbox_\d+p\d+', name)]:  # x0 y0 x1 y1, grown about its centre
        factor = float(name.rsplit('_', 1)[1].replace('p', '.'))
        low, high = arrays['resize_bbox_in'].reshape(2, 2)
        grown = np.concatenate(((low + high) / 2 - factor * (high - low) / 2, (low + high) / 2 + factor * (high - low) / 2))
        yield compare(name, grown, arrays[name], ATOL)


def _check_crops(arrays: dict, config: dict) -> Iterator[Row]:
    size = tuple(config['settings']['input_img_shape'])
    made_with = config['made_with'].get('opencv', cv2.__version__)
    for n in sorted({int(match[1]) for name in arrays if (match := re.match(r'case(\d+)_', name))}):
        i, j, scale, degrees, flip = arrays[f'case{n}_box_ratio_scale_rot_flip']
        crop = PersonCrop(size, step=1, ratio=float(arrays['ratios'][int(j)]), as_float=True)
        given = dict(img=arrays['image_uint8'][:, :, ::-1], bbox_xywh=arrays['boxes_xywh'][int(i)],
                     augmentation=dict(scale=float(scale), degrees=float(degrees), flip=bool(flip)))
        out = crop(dict(given))
        matrix = out['crop_from_image'].double()
        if flip:  # theirs starts at the mirrored image
            matrix = matrix @ mirror.mirror_affine(given['img'].shape[1])
        yield compare(f'case{n}_trans', matrix[:2].float(), arrays[f'case{n}_trans'], ATOL)
        yield compare(f'case{n}_inv_trans', _inverse(out, given, crop), arrays[f'case{n}_inv_trans'], ATOL)
        rgb = out['img'][:, :, ::-1]
        for name in [name for name in arrays if name.startswith(f'case{n}_crop_stride')]:
            step = int(name.rsplit('stride', 1)[1])
            yield from _image_rows(name, rgb[::step, ::step], arrays[name], made_with)
        if f'case{n}_crop_mean' in arrays:
            yield compare(f'case{n}_crop_mean', rgb.mean((0, 1), dtype=np.float64), arrays[f'case{n}_crop_mean'],
                          image_limits(made_with)[1])
        if f'case{n}_input' in arrays:
            network = PersonCrop(size, step=2, ratio=crop.ratio, as_float=True)(dict(given))['img'][:, :, ::-1] / 255
            expected = arrays[f'case{n}_input']
            step = network.shape[0] // expected.shape[1]
            found = network.transpose(2, 0, 1)[:, ::step, ::step]
            yield from _image_rows(f'case{n}_input', found * 255, expected * 255, made_with)


def _inverse(out: dict, given: dict, crop: PersonCrop) -> Tensor:
    """Crop to (mirrored) image, from the same points as the way there and not from its rounded matrix."""
    draw = given['augmentation']
    center = mirror.mirror_pixels(out['box_center'], given['img'].shape[1]) if draw['flip'] else out['box_center']
    box = person_box(given['bbox_xywh'], given['img'].shape[1::-1], crop.ratio)
    matrix = boxes.crop_affine(center.double(), torch.from_numpy(box[2:]).double(), crop.size[::-1], draw['scale'],
                               draw['degrees'])
    return boxes.invert_affine(matrix).float()


def image_limits(made_with: str) -> tuple[float, float]:
    """(worst level, mean level) between this OpenCV and the fixture's: its warp changed with version 5."""
    return (6.0, 0.1) if cv2.__version__.split('.')[0] != made_with.split('.')[0] else (0.01, 0.001)


def _image_rows(name: str, crop: np.ndarray, expected: np.ndarray, made_with: str) -> Iterator[Row]:
    difference = np.abs(crop.astype(np.float64) - expected)
    worst, mean = image_limits(made_with)
    yield Row(f'{name} worst level', float(difference.max()), worst)
    yield Row(f'{name} mean level', float(difference.mean()), mean)


def check_humandata(folder: Path) -> list[Row]:
    """Every array of humandata/expected.npz."""
    with np.load(folder / 'humandata' / 'expected.npz') as data:
        arrays = {name: data[name] for name in data.files}
    config = json.loads((folder / 'config.json').read_text())
    layer = toy_smplx()
    means = {side: getattr(layer, f'{side}_hand_mean').numpy() for side in ('left', 'right')}
    file = folder / 'humandata' / 'toy_humandata.npz'
    people = list(persons_as_smplerx(read_humandata(file), folder / 'humandata', means))
    made_with = config['made_with'].get('opencv', cv2.__version__)
    settings = config['settings']
    targets = HeatmapTargets(frame_of(settings))
    rows = [compare(name, len(people), arrays[name]) for name in ('test_len', 'train_len') if name in arrays]
    for i, person in enumerate(people):
        crop = PersonCrop(tuple(settings['input_img_shape']), step=1, as_float=True,
                          ratio=settings.get('bbox_ratio', 1.2) * TIGHTER)
        out = targets(crop(LoadImage()(dict(person))))
        values = person_values(person, out, means)
        for split in ('test', 'train'):
            for name, value in values.items():
                full = f'{split}{i}_{name}'
                if full in arrays:
                    rows.append(compare(full, value, arrays[full].reshape(np.shape(value)), ATOL))
            for full in [name for name in arrays if name.startswith(f'{split}{i}_img_stride')]:
                step = int(full.rsplit('stride', 1)[1])
                pixels = out['img'][::step, ::step, ::-1].transpose(2, 0, 1)
                rows += _image_rows(full, pixels, arrays[full] * 255, made_with)
    if 'aug_rot' in arrays:
        rows += check_augmented(arrays, people[0], targets, layer, means)
    return rows


def persons_as_smplerx(data: HumanData, image_root: Path, means: dict) -> Iterator[dict]:
    """Persons of a file for the transforms, as SMPLer-X takes them: eyes of the face swapped, one mask for all in place of
    confidences, boxes with their padding, fingers relative to the mean hand unless `misc` says otherwise; those whose 3D joints
    are not finite are left out."""
    rows, order = np.arange(data.count), list(WHOLE137_FROM_HUMANDATA)
    points_2d, points_3d = (_points(one, rows, order, columns) for one, columns in ((data.points_2d, 3), (data.points_3d, 4)))
    mask_2d, mask_3d = (np.zeros(len(order)) if one is None else one.mask[order] for one in (data.points_2d, data.points_3d))
    points_2d[..., 2], points_3d[..., 3] = (mask_3d if mask_3d.any() else mask_2d), mask_3d
    sizes = np.concatenate([data.per_image(name) for name in ('width', 'height')], axis=1)
    for i in np.flatnonzero(np.isfinite(points_3d).all((1, 2))):
        parts = [data.boxes[name][i] for name in ('lhand_bbox_xywh', 'rhand_bbox_xywh', 'face_bbox_xywh')]
        boxes_of_parts = part_boxes([np.float32(box[:4]) if box[4] > 0 else None for box in parts], sizes[i])
        yield dict(_labels(data, i, means), **boxes_of_parts, key=f'{data.path.stem}/{i}', sample_idx=int(i),
                   img_path=str(image_root / data.images[i]), img_size=np.float32(sizes[i]),
                   bbox_xywh=np.float32(data.boxes['bbox_xywh'][i, :4]), keypoints_2d=torch.from_numpy(points_2d[i]),
                   keypoints_3d=torch.from_numpy(points_3d[i]), focal=torch.zeros(2), princpt=torch.zeros(2))


def _points(keypoints: Keypoints | None, rows: np.ndarray, order: list[int], columns: int) -> np.ndarray:
    if keypoints is None:
        return np.zeros((len(rows), len(order), columns), np.float32)
    return np.float32(keypoints.take(rows)[:, order])


def _labels(data: HumanData, i: int, means: dict) -> dict:
    vectors, valid = torch.zeros(53, 3), torch.zeros(53)
    for name, part in POSE53_PARTS.items():
        if name in data.params:
            values = torch.from_numpy(np.float32(data.params[name][i])).reshape(-1, 3)[:part.stop - part.start]
            if name.endswith('hand_pose') and not data.misc.get('flat_hand_mean', False):
                values = values + torch.from_numpy(means[name.split('_')[0]]).reshape(-1, 3)
            vectors[part], valid[part] = values, 1
    numbers = {name: torch.from_numpy(np.float32(data.params[name][i]))[:10] if name in data.params else torch.zeros(size)
               for name, size in (('betas', 10), ('betas_neutral', 0), ('expression', 10), ('transl', 3))}
    betas = numbers['betas_neutral'] if len(numbers['betas_neutral']) else numbers['betas']
    if data.body != 'smplx' or betas.abs().max() > LARGEST_BETA:  # others have another space of shapes
        betas = torch.zeros(10)
    return dict(pose=axis_angle_to_rotmat(vectors), pose_valid=valid, betas=betas, has_betas=float(betas.any()),
                expression=numbers['expression'], has_expression=float('expression' in data.params), transl=numbers['transl'])


def person_values(person: dict, out: dict, means: dict) -> dict:
    """What SMPLer-X's dataset gives for a person, by its names, from ours after the transforms."""
    joints, seen = out['heatmap_joints'][:, :3], out['heatmap_joints'][:, 3:]
    points = out['keypoints_3d'][:, :3]
    valid = (out['keypoints_3d'][:, 3:] > 0).float()
    box = np.concatenate((out['box_center'] - out['box_size'] / 2, out['box_size']))
    values = dict(
        bbox=box, joint_img=joints, smplx_joint_img=joints, joint_trunc=seen, smplx_joint_trunc=seen, joint_valid=valid,
        smplx_joint_valid=valid, joint_cam=points - points[:1], smplx_joint_cam=part_relative(points[None])[0],
        smplx_pose=axis_angle_targets(out['pose'], means), smplx_pose_valid=out['pose_valid'].repeat_interleave(3),
        smplx_shape=out['betas'], smplx_expr=out['expression'], smplx_shape_valid=out['has_betas'],
        smplx_expr_valid=out['has_expression'], is_3D=float(valid[0]), smplx_cam_trans=person['transl'],
        gt_smplx_transl=person['transl'], bb2img_trans=_crop_to_image(out))
    for part, name in enumerate(SHORT.values()):
        values.update({f'{name}_bbox_center': out['boxes'][part, :2], f'{name}_bbox_size': out['boxes'][part, 2:],
                       f'{name}_bbox_valid': out['has_boxes'][part]})
    return values


def _crop_to_image(out: dict) -> Tensor:
    height, width = out['img'].shape[:2]
    return boxes.invert_affine(boxes.crop_affine(out['box_center'].double(), out['box_size'].double(), (width, height))).float()


def axis_angle_targets(pose: Tensor, means: dict) -> Tensor:
    """Rotations (53, 3, 3) with absolute fingers -> SMPLer-X's 159 numbers."""
    vectors = rotmat_to_axis_angle(pose)
    for side in ('left', 'right'):
        part = POSE53_PARTS[f'{side}_hand_pose']
        vectors[part] = vectors[part] - torch.from_numpy(means[side]).reshape(-1, 3)
    return vectors.flatten()


def check_augmented(arrays: dict, person: dict, targets: HeatmapTargets, layer, means: dict) -> Iterator[Row]:
    """Flip and turn of the first person: its own joints, and those that SMPL-X gives under a camera."""
    width, degrees = float(person['img_size'][0]), float(arrays['aug_rot'])
    matrix = torch.from_numpy(arrays['aug_trans']).double()
    crop_from_image = boxes.to_homogeneous(matrix) @ mirror.mirror_affine(width)
    valid = person['keypoints_2d'][:, 2:]
    given, depth = torch.from_numpy(arrays['aug_in_joint_img']), torch.from_numpy(arrays['aug_in_joint_cam'])
    results = dict(keypoints_2d=torch.cat((given[:, :2], valid), dim=1), keypoints_3d=torch.cat((depth, valid), dim=1))
    transform_labels(results, crop_from_image, True, degrees)
    points = results['keypoints_3d'][:, :3]
    order = mirror.mirror_body_order(WHOLE137_MIRROR_PAIRS, len(given))
    joints = torch.cat((targets.frame.cells_from_crop(results['keypoints_2d'][:, :2]), given[order, 2:]), dim=1)
    # theirs asks the joint's number before the mirror whether it was in the image; ours asks the joint itself
    seen = valid[order, 0] * targets.inside(joints) * (given > 0).all(1)
    yield compare('aug_joint_img', joints, arrays['aug_joint_img'], ATOL)
    yield compare('aug_joint_cam_wo_ra', points, arrays['aug_joint_cam_wo_ra'], ATOL)
    yield compare('aug_joint_cam_ra', part_relative(points[None])[0], arrays['aug_joint_cam_ra'], ATOL)
    yield compare('aug_joint_valid', results['keypoints_2d'][:, 2:], arrays['aug_joint_valid'], ATOL)
    yield compare('aug_joint_trunc', seen.unsqueeze(1), arrays['aug_joint_trunc'], ATOL)
    yield from _check_smplx_targets(arrays, person, targets, layer, means, crop_from_image, degrees)


def _check_smplx_targets(arrays: dict, person: dict, targets: HeatmapTargets, layer, means: dict, crop_from_image: Tensor,
                         degrees: float) -> Iterator[Row]:
    turn = torch.diag(torch.tensor(HUMANDATA_CAMERA['rotation']))
    pose = person['pose'].clone()
    parts = {name: pose[None, part] for name, part in POSE53_PARTS.items()}
    shape = dict(betas=person['betas'][None], expression=person['expression'][None])
    root = layer(**shape).joints[:, 0]  # the toy's expression moves its pelvis
    orient, transl = move_root(pose[None, 0], person['transl'][None], root, turn, torch.tensor(HUMANDATA_CAMERA['translation']))
    joints = layer(**dict(parts, global_orient=orient[:, None]), **shape, transl=transl).joints
    points = joints[0, list(WHOLE137_FROM_SMPLX144)]
    pixels = project(points, points.new_tensor(HUMANDATA_CAMERA['focal']), points.new_tensor(HUMANDATA_CAMERA['princpt']))
    ones = torch.ones(len(points), 1)
    pose[0] = turn @ pose[0]
    results = dict(keypoints_2d=torch.cat((pixels, ones), dim=1), keypoints_3d=torch.cat((points, ones), dim=1), pose=pose)
    before = torch.cat((pixels, _part_depth(targets, points)), dim=1)
    transform_labels(results, crop_from_image, True, degrees)
    order = mirror.mirror_body_order(WHOLE137_MIRROR_PAIRS, len(points))
    found = torch.cat((targets.frame.cells_from_crop(results['keypoints_2d'][:, :2]), before[order, 2:]), dim=1)
    moved = results['keypoints_3d'][:, :3]
    yield compare('aug_smplx_joint_img', found, arrays['aug_smplx_joint_img'], 10 * ATOL)  # pixels of float32 in cells
    yield compare('aug_smplx_joint_cam', part_relative(moved[None])[0], arrays['aug_smplx_joint_cam'], ATOL)
    seen = targets.inside(found) * (pixels > 0).all(1)  # as above, by the number before the mirror
    yield compare('aug_smplx_joint_trunc', seen.unsqueeze(1), arrays['aug_smplx_joint_trunc'], ATOL)
    mirrored_means = {side: mirror.mirror_axis_angle(torch.from_numpy(means[other])).numpy()
                      for side, other in (('left', 'right'), ('right', 'left'))}
    yield compare('aug_smplx_pose', axis_angle_targets(results['pose'], mirrored_means), arrays['aug_smplx_pose'], ATOL)
    yield compare('aug_smplx_shape', person['betas'], arrays['aug_smplx_shape'], ATOL)
    yield compare('aug_smplx_expr', person['expression'], arrays['aug_smplx_expr'], ATOL)
    yield compare('aug_smplx_rotation_valid', person['pose_valid'], arrays['aug_smplx_rotation_valid'], ATOL)
    yield compare('aug_smplx_coord_valid', torch.ones(len(points)), arrays['aug_smplx_coord_valid'], ATOL)
    yield compare('aug_smplx_expr_valid', person['has_expression'], arrays['aug_smplx_expr_valid'], ATOL)


def _part_depth(targets: HeatmapTargets, points: Tensor) -> Tensor:
    """z in cells (137, 1), each part's about its own root and with its own range."""
    relative = part_relative(points[None])[0, :, 2:]
    depth = targets.depth_cells(relative, SMALL_PARTS_RANGE)
    depth[WHOLE137_PARTS['body']] = targets.depth_cells(relative[WHOLE137_PARTS['body']])
    return depth
