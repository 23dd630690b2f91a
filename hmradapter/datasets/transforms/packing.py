"""The last step: from the transforms' dict to what the model takes."""
import cv2
import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.structures import BaseDataElement
from torch import Tensor

from hmradapter.registry import TRANSFORMS
from hmradapter.structures import HMRDataSample
from hmradapter.structures.joints import POSE53_PARTS

HAND_CROP = ('box_center', 'box_size', 'img_size', 'is_right', 'focal', 'princpt', 'crop_from_image')
HAND_LABELS = ('global_orient', 'hand_pose', 'betas', 'keypoints_2d', 'keypoints_3d',
               'has_global_orient', 'has_hand_pose', 'has_betas')
HAND_GUIDANCE = ('body_pose', 'has_body_pose')
PERSON_CROP = ('box_center', 'box_size', 'img_size', 'focal', 'princpt', 'crop_from_image')
PERSON_LABELS = (*POSE53_PARTS, 'pose_valid', 'betas', 'has_betas', 'expression', 'has_expression', 'keypoints_3d',
                 'heatmap_joints', 'boxes', 'has_boxes')
PERSON_TRUTH = ('vertices', 'has_vertices')
PERSON_GUIDANCE = ('hand_joints', 'has_hands')


@TRANSFORMS.register_module()
class PackHandInputs(BaseTransform):
    """Gives dict(inputs (3, S, S) RGB in 0..255, data_samples HMRDataSample). uint8 stays uint8: a quarter of the bytes
    through workers and to the device, where the model's preprocessor makes floats of them.

    Reads: img (S, S, 3) BGR and the fields of HAND_CROP and HAND_GUIDANCE; all HAND_LABELS where `global_orient` is there (at
    inference it is not).

    Args:
        meta_keys: results that go along as metainfo; what is absent becomes None.
    """

    def __init__(self, meta_keys: tuple[str, ...] = ('key', 'img_path', 'sample_idx', 'hand', 'visibility')):
        self.meta_keys = tuple(meta_keys)

    def transform(self, results: dict) -> dict:
        groups = dict(crop=_group(results, HAND_CROP, 'HandCrop'), guidance=_group(results, HAND_GUIDANCE, 'a data set'))
        if 'global_orient' in results:
            groups['gt'] = _group(results, HAND_LABELS, 'a data set')
        return _packed(results, self.meta_keys, groups)


@TRANSFORMS.register_module()
class PackPersonInputs(BaseTransform):
    """Gives dict(inputs (3, H, W) RGB in 0..255, data_samples HMRDataSample) of a person.

    Reads: img (H, W, 3) BGR and the fields of PERSON_CROP; where `pose` (53, 3, 3) is there (at inference it is not), all
    PERSON_LABELS but its parts, and hand_joints (2, 20, 3); has_hands (2,) if `HandJointNoise` took hands away; vertices (V, 3)
    and has_vertices where the data set gives true meshes.

    Args:
        meta_keys: results that go along as metainfo; what is absent becomes None.
        image: whether the whole image goes along, as the dual path needs it to cut the hands out.
    """

    def __init__(self, meta_keys: tuple[str, ...] = ('key', 'img_path', 'sample_idx', 'gender', 'visibility'),
                 image: bool = False):
        self.meta_keys = (*meta_keys, *(('image',) if image else ()))

    def transform(self, results: dict) -> dict:
        groups = dict(crop=_group(results, PERSON_CROP, 'PersonCrop'))
        if 'pose' in results:
            parts = {name: results['pose'][part] for name, part in POSE53_PARTS.items()}
            results = {'has_hands': torch.ones(2), **results, **parts}
            labels = PERSON_LABELS + (PERSON_TRUTH if 'vertices' in results else ())
            groups['gt'] = _group(results, labels, 'HeatmapTargets')
            groups['guidance'] = _group(results, PERSON_GUIDANCE, 'HeatmapTargets')
        return _packed(results, self.meta_keys, groups)


def _packed(results: dict, meta_keys: tuple[str, ...], groups: dict[str, BaseDataElement]) -> dict:
    inputs = torch.from_numpy(np.stack(cv2.split(results['img'])[::-1]))  # a fifth of a transposed copy's time
    return dict(inputs=inputs, data_samples=HMRDataSample(metainfo={key: results.get(key) for key in meta_keys}, **groups))


def _group(results: dict, names: tuple[str, ...], maker: str) -> BaseDataElement:
    missing = [name for name in names if name not in results]
    if missing:
        raise KeyError(f'packing misses {missing} in the sample {results.get("key")!r}: put {maker} before it, and give every '
                       'sample its fields (with a validity flag of 0 where there is no label).')
    return BaseDataElement(**{name: _tensor(results[name]) for name in names})


def _tensor(value) -> Tensor:
    return value.float() if isinstance(value, Tensor) else torch.as_tensor(value, dtype=torch.float32)
