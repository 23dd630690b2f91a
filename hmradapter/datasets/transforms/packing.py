"""The last step: from the transforms' dict to what the model takes."""
import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.structures import BaseDataElement
from torch import Tensor

from hmradapter.registry import TRANSFORMS
from hmradapter.structures import HMRDataSample

CROP = ('box_center', 'box_size', 'img_size', 'is_right', 'focal', 'princpt', 'crop_from_image')
LABELS = ('global_orient', 'hand_pose', 'betas', 'keypoints_2d', 'keypoints_3d',
          'has_global_orient', 'has_hand_pose', 'has_betas')
GUIDANCE = ('body_pose', 'has_body_pose')


@TRANSFORMS.register_module()
class PackHandInputs(BaseTransform):
    """Gives dict(inputs (3, S, S) RGB in 0..255, data_samples HMRDataSample). uint8 stays uint8: a quarter of the bytes
    through workers and to the device, where the model's preprocessor makes floats of them.

    Reads: img (S, S, 3) BGR and the fields of CROP and GUIDANCE; all LABELS where `global_orient` is there (at inference it is
    not).

    Args:
        meta_keys: results that go along as metainfo; what is absent becomes None.
    """

    def __init__(self, meta_keys: tuple[str, ...] = ('key', 'img_path', 'sample_idx', 'hand', 'visibility')):
        self.meta_keys = tuple(meta_keys)

    def transform(self, results: dict) -> dict:
        inputs = torch.from_numpy(np.ascontiguousarray(results['img'][:, :, ::-1].transpose(2, 0, 1)))
        groups = dict(crop=_group(results, CROP), guidance=_group(results, GUIDANCE))
        if 'global_orient' in results:
            groups['gt'] = _group(results, LABELS)
        sample = HMRDataSample(metainfo={key: results.get(key) for key in self.meta_keys}, **groups)
        return dict(inputs=inputs, data_samples=sample)


def _group(results: dict, names: tuple[str, ...]) -> BaseDataElement:
    missing = [name for name in names if name not in results]
    if missing:
        raise KeyError(f'PackHandInputs misses {missing} in the sample {results.get("key")!r}: put HandCrop before it, and '
                       'give every sample its fields (with a validity flag of 0 where there is no label).')
    return BaseDataElement(**{name: _tensor(results[name]) for name in names})


def _tensor(value) -> Tensor:
    return value.float() if isinstance(value, Tensor) else torch.as_tensor(value, dtype=torch.float32)
