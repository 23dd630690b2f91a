"""HaMeR's crops and data items: our transforms against the arrays of crop.npz and dataset.npz, or what there is of them."""
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch

from hmradapter.datasets.formats.hamer import Hands, hands_of_dicts, hands_of_npz
from hmradapter.datasets.transforms import ColorJitter, HandCrop, LoadImage
from hmradapter.geometry.boxes import HAMER_ASPECT
from hmradapter.geometry.mirror import mirror_affine
from hmradapter.geometry.rotations import axis_angle_to_rotmat, rotmat_to_axis_angle

from .report import Row, compare

INPUTS = ('image_bgr', 'image?_bgr', 'boxes_xyxy', 'right', 'rescale_factor', 'opencv_version', 'ann.*', 'aug.scale',
          'aug.rot_degrees', 'aug.color', 'aug.txty')

LEVEL = 1 / 255 / 0.224  # one grey level in normalised values, at most
MEAN, STD = np.array([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]]).reshape(2, 3, 1, 1) * 255
BLURRED = 2e-3           # normalised values
KEYPOINTS = 1e-6         # crop widths, metres
RELATIVE = 1e-5          # of a box's size
MATRIX = 2e-3            # pixels of the crop: one step of float32 in the reference's point pairs moves an offset by up to 8e-4


def check(path) -> list[Row]:
    """Every output of the fixture that is present. A uint8 image counts twice, by its worst and its mean level."""
    with np.load(path) as data:
        arrays = {name: data[name] for name in data.files}
    return list(_check_crops(arrays) if 'boxes_xyxy' in arrays else _check_items(arrays))


class ImageRule:
    """What may differ between this OpenCV's bilinear warp of bytes and the fixture's, which changed with version 5: across that
    change the fixtures' README allows 4 levels, and 0.12 in the mean. A factor of brightness scales both."""

    def __init__(self, arrays: dict):
        made_with = str(arrays.get('opencv_version', '5'))
        same = cv2.__version__.split('.')[0] == made_with.split('.')[0]
        self.worst, self.mean = (1.0, 0.005) if same else (4.0, 0.12)

    def rows(self, name: str, crop: np.ndarray, expected: np.ndarray, factor: float = 1.0, extra: float = 0.0) -> Iterator[Row]:
        """Two rows for crops in grey levels, (3, h, w) RGB."""
        difference = np.abs(crop.astype(np.float64) - expected)
        yield Row(f'{name} worst level', float(difference.max()), self.worst * factor + extra)
        yield Row(f'{name} mean level', float(difference.mean()), self.mean * factor + extra)


def _check_crops(arrays: dict) -> Iterator[Row]:
    rule = ImageRule(arrays)
    height, width = arrays['image_bgr'].shape[:2]
    for suffix, aspect in (('', HAMER_ASPECT), ('.no_aspect', None)):
        for i, box in enumerate(arrays['boxes_xyxy'].astype(np.float32)):
            out = HandCrop(256, float(arrays['rescale_factor'][i]), aspect, blur=True)(dict(
                img=arrays['image_bgr'], box_center=(box[:2] + box[2:]) / 2, box_wh=box[2:] - box[:2],
                hand='right' if arrays['right'][i] else 'left'))
            values = dict(box_center=(out['box_center'], 1e-4, 0), box_size=(out['box_size'], 0, RELATIVE),
                          img_size=(np.array([width, height]), 0, 0))
            for name, (value, atol, rtol) in values.items():
                if name + suffix in arrays:
                    yield compare(f'{name}{suffix}[{i}]', value, arrays[name + suffix][i], atol, rtol)
            yield from _crop_rows(arrays, f'case{i}{suffix}.', _rgb(out), rule)


def _crop_rows(arrays: dict, prefix: str, crop: np.ndarray, rule: ImageRule) -> Iterator[Row]:
    """Stored forms of one crop: grey levels, or normalised values of which every n-th or the corner was kept."""
    for name in (name for name in arrays if name.startswith(prefix) and name.count('.') == prefix.count('.')):
        kept = name.removeprefix(prefix)
        if kept == 'crop_rgb_u8':
            yield from rule.rows(name, crop, arrays[name])
        elif kept.startswith('img_'):
            stride = re.search(r'_stride(\d+)', kept)
            size = arrays[name].shape[-1]
            part = np.s_[:, ::int(stride[1]), ::int(stride[1])] if stride else np.s_[:, :size, :size]
            limit = BLURRED if crop.dtype == np.float32 else rule.worst * LEVEL
            yield compare(name, ((crop - MEAN) / STD)[part], arrays[name], limit)


def _check_items(arrays: dict) -> Iterator[Row]:
    annotations = {name.removeprefix('ann.'): value for name, value in arrays.items() if name.startswith('ann.')}
    with tempfile.TemporaryDirectory() as folder:
        for name in (name for name in arrays if re.fullmatch(r'image\d+_bgr', name)):
            cv2.imwrite(str(Path(folder) / f'img{name[5:-4]}.png'), arrays[name])
        np.savez(Path(folder) / 'ann.npz', **annotations)
        load = LoadImage()
        read, names = hands_of_npz(Path(folder) / 'ann.npz')
        again = hands_of_dicts([_as_record(annotations, i) for i in range(len(names))], 'dataset.npz as a training tar')
        hands, records = ([load(dict(_sample(found, i), img_path=str(Path(folder) / name))) for i, name in enumerate(names)]
                          for found in (read, again))
    rule = ImageRule(arrays)
    yield from _check_set(arrays, 'freihand', hands, HandCrop(256, 1.0, HAMER_ASPECT), rule)
    yield from _check_set(arrays, 'hint', hands, HandCrop(256, 2.0, None), rule)
    yield from _check_set(arrays, 'tar', records, HandCrop(256, 1.0, None), rule)
    yield from _check_set(arrays, 'tar_aspect', records, HandCrop(256, 1.0, HAMER_ASPECT), rule)
    yield from _check_augmented(arrays, records, rule)


def _sample(hands: Hands, i: int) -> dict:
    """Hand i as the transforms take it, with the box as it is stored and points without confidence as they are."""
    rotations = axis_angle_to_rotmat(torch.from_numpy(hands.pose[i]).float())
    return dict(hand='right' if hands.is_right[i] else 'left', box_center=hands.center[i], box_wh=hands.wh[i],
                global_orient=rotations[:1], hand_pose=rotations[1:], betas=torch.from_numpy(hands.betas[i]).float(),
                keypoints_2d=torch.from_numpy(hands.points_2d[i]).float(),
                keypoints_3d=torch.from_numpy(hands.points_3d[i]).float())


def _as_record(annotations: dict, i: int) -> dict:
    """What the training tars would hold of hand i: other names, `scale` in units of 200 pixels."""
    record = {name.replace('hand_keypoints', 'keypoints'): value[i] for name, value in annotations.items() if name != 'imgname'}
    return record | dict(scale=annotations['scale'][i] / 200)


def _check_set(arrays: dict, name: str, hands: list[dict], crop: HandCrop, rule: ImageRule) -> Iterator[Row]:
    for i, hand in enumerate(hands):
        out = crop(dict(hand))
        side = float(out['box_size'])
        values = _label_values(out) | {
            'img_size': (out['img_size'], 0, 0), 'right': (out['is_right'], 0, 0), '_scale': (hand['box_wh'] / 200, 1e-6, 0),
            'orig_keypoints_2d': (hand['keypoints_2d'], 1e-6, 0), 'box_center': (out['box_center'], 0, RELATIVE),
            'box_size': (side, 0, RELATIVE), '_trans': (_matrix_of_mirrored(out), MATRIX, 0),
            'bbox_expand_factor': (2 if name == 'hint' else side / hand['box_wh'].max(), 0, RELATIVE)}
        for field, (value, atol, rtol) in values.items():
            stored = arrays.get(f'{name}.{field}', ())
            if i < len(stored):
                yield compare(f'{name}.{field}[{i}]', value, stored[i], atol, rtol)
        for stored in (stored for stored in arrays if stored.startswith(f'{name}.crop_rgb_u8') and i < len(arrays[stored])):
            yield from rule.rows(f'{stored}[{i}]', _rgb(out), arrays[stored][i])


def _check_augmented(arrays: dict, records: list[dict], rule: ImageRule) -> Iterator[Row]:
    crop, jitter = HandCrop(256, 2.0, None), ColorJitter()
    for i, record in enumerate(records[:len(arrays.get('aug.scale', ()))]):
        color = arrays['aug.color'][i]
        draw = dict(scale=float(arrays['aug.scale'][i]), degrees=float(arrays['aug.rot_degrees'][i]),
                    shift=tuple(arrays['aug.txty'][i]))
        out = jitter(crop(dict(record, augmentation=draw, color=tuple(color))))
        for name in (name for name in arrays if name.startswith('aug.img_stride')):
            stride = int(name.removeprefix('aug.img_stride'))
            # the reference keeps fractions where our bytes are rounded: half a level
            yield from rule.rows(f'{name}[{i}]', _rgb(out)[:, ::stride, ::stride], arrays[name][i] * STD + MEAN,
                                 float(color.max()), extra=0.5)
        for field, (value, atol, rtol) in (_label_values(out) | dict(trans=(_matrix_of_mirrored(out), MATRIX, 0))).items():
            field = field.removeprefix('mano_params.')
            if i < len(arrays.get(f'aug.{field}', ())):
                yield compare(f'aug.{field}[{i}]', value, arrays[f'aug.{field}'][i], atol, rtol)


def _label_values(out: dict) -> dict[str, tuple]:
    """Labels after the crop under the reference's names, each with its absolute and relative tolerance."""
    fingers = rotmat_to_axis_angle(out['hand_pose']).flatten()
    values = {'keypoints_2d': out['keypoints_2d'], 'keypoints_3d': out['keypoints_3d'], 'mano_params.betas': out['betas'],
              'mano_params.global_orient': rotmat_to_axis_angle(out['global_orient'][0]), 'mano_params.hand_pose': fingers}
    return {name: (value, KEYPOINTS, 0) for name, value in values.items()}


def _matrix_of_mirrored(out: dict) -> np.ndarray:
    """Mirrored image to crop (2, 3), as the reference has it."""
    matrix = out['crop_from_image'].double()
    return (matrix if out['is_right'] else matrix @ mirror_affine(float(out['img_size'][0])))[:2].numpy()


def _rgb(out: dict) -> np.ndarray:
    return out['img'][:, :, ::-1].transpose(2, 0, 1)
