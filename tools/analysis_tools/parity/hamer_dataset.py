"""HaMeR's crops and data items: our transforms against the arrays of crop.npz and dataset.npz."""
import tempfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch

from hmradapter.datasets.hamer import hand_from_record, read_evaluation_npz
from hmradapter.datasets.transforms import ColorJitter, HandCrop, LoadImage
from hmradapter.geometry.boxes import HAMER_ASPECT
from hmradapter.geometry.mirror import mirror_affine
from hmradapter.geometry.rotations import rotmat_to_axis_angle

Row = tuple[str, float, float]  # array, max abs error, tolerance
INPUTS = ('image_bgr', 'image?_bgr', 'boxes_xyxy', 'right', 'rescale_factor', 'opencv_version', 'ann.*', 'aug.scale',
          'aug.rot_degrees', 'aug.color', 'aug.txty')

LEVEL = 1 / 255 / 0.224  # one grey level in normalised values, at most
MEAN, STD = np.array([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]]).reshape(2, 3, 1, 1) * 255
BLURRED = 2e-3
MATRIX = 2e-3  # pixels of the crop: one step of float32 in the reference's point pairs moves an offset by up to 8e-4


def check(path) -> list[Row]:
    """Every array of the fixture with its error and tolerance. An image counts twice: worst level and mean level (OpenCV 4.10
    and 4.12 against the fixtures' 5.0.0: up to 4 levels, mean 0.12, as the fixtures' README says)."""
    with np.load(path) as data:
        arrays = {name: data[name] for name in data.files}
    return list(_check_crops(arrays) if 'boxes_xyxy' in arrays else _check_items(arrays))


def image_tolerances(made_with: str) -> tuple[float, float]:
    """(worst level, mean level) allowed between this OpenCV and the fixture's: its uint8 warp changed with version 5."""
    return (4.0, 0.12) if cv2.__version__.split('.')[0] != made_with.split('.')[0] else (1.0, 0.005)


def _check_crops(arrays: dict) -> Iterator[Row]:
    tolerances = image_tolerances(str(arrays['opencv_version']))
    for suffix, aspect in (('', HAMER_ASPECT), ('.no_aspect', None)):
        for i, (box, right, factor) in enumerate(zip(arrays['boxes_xyxy'].astype(np.float32), arrays['right'],
                                                     arrays['rescale_factor'], strict=True)):
            results = HandCrop(256, float(factor), aspect, blur=True).transform(dict(
                img=arrays['image_bgr'], box_center=(box[:2] + box[2:]) / 2, box_wh=box[2:] - box[:2],
                hand='right' if right else 'left'))
            yield _row(f'box_center{suffix}[{i}]', results['box_center'], arrays[f'box_center{suffix}'][i], 1e-4)
            expected = arrays[f'box_size{suffix}'][i]
            yield _row(f'box_size{suffix}[{i}]', results['box_size'], expected, 1e-5 * expected)
            height, width = arrays['image_bgr'].shape[:2]
            yield _row(f'img_size{suffix}[{i}]', np.array([width, height]), arrays[f'img_size{suffix}'][i], 0)
            crop = results['img'][:, :, ::-1].transpose(2, 0, 1)
            name = f'case{i}{suffix}.crop_rgb_u8'
            if name in arrays:
                yield from _image_rows(name, crop, arrays[name], tolerances)
            for name, part in ((f'case{i}{suffix}.img_blurred_stride2', np.s_[:, ::2, ::2]),
                               (f'case{i}{suffix}.img_float32_corner', np.s_[:, :8, :8])):
                if name in arrays:
                    limit = BLURRED if 'blurred' in name else tolerances[0] * LEVEL
                    yield _row(name, ((crop - MEAN) / STD)[part], arrays[name], limit)


def _check_items(arrays: dict) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        for i in (0, 1):
            cv2.imwrite(str(Path(folder) / f'img{i}.png'), arrays[f'image{i}_bgr'])
        annotations = {name.removeprefix('ann.'): value for name, value in arrays.items() if name.startswith('ann.')}
        np.savez(Path(folder) / 'ann.npz', **annotations)
        load = LoadImage()
        hands = [load(hand) for hand in read_evaluation_npz(Path(folder) / 'ann.npz', folder)]
        yield from _check_evaluation(arrays, 'freihand', hands, HandCrop(256, 1.0, HAMER_ASPECT))
        yield from _check_evaluation(arrays, 'hint', hands, HandCrop(256, 2.0, None))
        records = [load(hand_from_record(_as_record(annotations, i), img_path=hands[i]['img_path'])) for i in range(4)]
        yield from _check_tars(arrays, 'tar', records, HandCrop(256, 1.0, None))
        yield from _check_tars(arrays, 'tar_aspect', records, HandCrop(256, 1.0, HAMER_ASPECT))
        yield from _check_augmented(arrays, records)


def _as_record(annotations: dict, i: int) -> dict:
    record = {name.replace('hand_keypoints', 'keypoints'): value[i] for name, value in annotations.items() if name != 'imgname'}
    return record | dict(scale=annotations['scale'][i] / 200)


def _check_evaluation(arrays: dict, name: str, hands: list[dict], crop: HandCrop) -> Iterator[Row]:
    tolerances = image_tolerances(str(arrays['opencv_version']))
    for i, hand in enumerate(hands):
        out = crop(dict(hand))
        if i < len(arrays[f'{name}.crop_rgb_u8']):
            yield from _image_rows(f'{name}.crop_rgb_u8[{i}]', out['img'][:, :, ::-1].transpose(2, 0, 1),
                                   arrays[f'{name}.crop_rgb_u8'][i], tolerances)
        side = float(out['box_size'])
        values = {'keypoints_2d': out['keypoints_2d'], 'keypoints_3d': out['keypoints_3d'], 'img_size': out['img_size'],
                  'right': out['is_right'], '_scale': hand['box_wh'] / 200, 'orig_keypoints_2d': hand['keypoints_2d'],
                  'mano_params.global_orient': rotmat_to_axis_angle(out['global_orient'][0]),
                  'mano_params.hand_pose': rotmat_to_axis_angle(out['hand_pose']).flatten(), 'mano_params.betas': out['betas']}
        for field, value in values.items():
            yield _row(f'{name}.{field}[{i}]', value, arrays[f'{name}.{field}'][i], 1e-6)
        factor = 2 if name == 'hint' else side / hand['box_wh'].max()
        expected = {'box_center': out['box_center'], 'box_size': side, 'bbox_expand_factor': factor}
        for field, value in expected.items():
            reference = arrays[f'{name}.{field}'][i]
            yield _row(f'{name}.{field}[{i}]', value, reference, 1e-5 * float(np.max(reference)))


def _check_tars(arrays: dict, name: str, records: list[dict], crop: HandCrop) -> Iterator[Row]:
    tolerances = image_tolerances(str(arrays['opencv_version']))
    for i, record in enumerate(records):
        out = crop(dict(record))
        yield _row(f'{name}.keypoints_2d[{i}]', out['keypoints_2d'], arrays[f'{name}.keypoints_2d'][i], 1e-6)
        yield _row(f'{name}.keypoints_3d[{i}]', out['keypoints_3d'], arrays[f'{name}.keypoints_3d'][i], 1e-6)
        yield _row(f'{name}.img_size[{i}]', out['img_size'], arrays[f'{name}.img_size'][i], 0)
        side = arrays[f'{name}.box_size'][i]
        yield _row(f'{name}.box_size[{i}]', out['box_size'], side, 1e-5 * side)
        yield _row(f'{name}._trans[{i}]', _matrix_of_mirrored(out), arrays[f'{name}._trans'][i], MATRIX)
        if i < 2:
            yield from _image_rows(f'{name}.crop_rgb_u8_case0_1[{i}]', out['img'][:, :, ::-1].transpose(2, 0, 1),
                                   arrays[f'{name}.crop_rgb_u8_case0_1'][i], tolerances)


def _check_augmented(arrays: dict, records: list[dict]) -> Iterator[Row]:
    crop, jitter = HandCrop(256, 2.0, None), ColorJitter()
    worst, mean = image_tolerances(str(arrays['opencv_version']))
    for i, record in enumerate(records):
        draw = dict(scale=float(arrays['aug.scale'][i]), degrees=float(arrays['aug.rot_degrees'][i]),
                    shift=tuple(arrays['aug.txty'][i]))
        out = jitter(crop(dict(record, augmentation=draw, color=tuple(arrays['aug.color'][i]))))
        levels = arrays['aug.img_stride4'][i] * STD + MEAN
        image = out['img'][:, :, ::-1].transpose(2, 0, 1)[:, ::4, ::4]
        brightest = float(arrays['aug.color'][i].max())  # levels are multiplied by it; half a level is lost by rounding
        yield from _image_rows(f'aug.img_stride4[{i}]', image, levels, (worst * brightest + 0.5, mean * brightest + 0.5))
        yield _row(f'aug.keypoints_2d[{i}]', out['keypoints_2d'], arrays['aug.keypoints_2d'][i], 1e-6)
        yield _row(f'aug.keypoints_3d[{i}]', out['keypoints_3d'], arrays['aug.keypoints_3d'][i], 1e-6)
        wrist, fingers = rotmat_to_axis_angle(out['global_orient'][0]), rotmat_to_axis_angle(out['hand_pose']).flatten()
        yield _row(f'aug.global_orient[{i}]', wrist, arrays['aug.global_orient'][i], 1e-6)
        yield _row(f'aug.hand_pose[{i}]', fingers, arrays['aug.hand_pose'][i], 1e-6)
        yield _row(f'aug.trans[{i}]', _matrix_of_mirrored(out), arrays['aug.trans'][i], MATRIX)


def _matrix_of_mirrored(out: dict) -> torch.Tensor:
    """Mirrored image to crop (2, 3), as the reference has it."""
    matrix = out['crop_from_image'].double()
    return (matrix if out['is_right'] else matrix @ mirror_affine(float(out['img_size'][0])))[:2]


def _image_rows(name: str, crop: np.ndarray, expected: np.ndarray, tolerances: tuple[float, float]) -> Iterator[Row]:
    difference = np.abs(crop.astype(np.float64) - expected)
    yield f'{name} worst level', float(difference.max()), tolerances[0]
    yield f'{name} mean level', float(difference.mean()), tolerances[1]


def _row(name: str, value, expected, tolerance: float) -> Row:
    error = np.abs(np.asarray(value, dtype=np.float64) - np.asarray(expected, dtype=np.float64)).max()
    return name, float(error), float(tolerance)
