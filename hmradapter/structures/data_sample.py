"""What travels with a crop from the transforms to the metric. B samples, J joints, V vertices."""
from collections.abc import Callable, Iterator, Sequence

import torch
from mmengine.structures import BaseDataElement
from torch import Tensor

from hmradapter.registry import FUNCTIONS

ROWS = ('expert', 'combined')  # of the paper's tables 1 and 2, beside ours
GROUPS = ('crop', 'gt', 'guidance', 'pred', *(f'pred_{row}' for row in ROWS))


class HMRDataSample(BaseDataElement):
    """One hand crop, or a batch of them with a leading B on every tensor and lists as metainfo.

    Metainfo: key (unique), img_path, sample_idx, hand ('left' or 'right').

    crop: where the crop lies in its image, pixels.
        box_center (2,) in the unmirrored image, box_size (), img_size (2,) = (W, H), is_right () 1. or 0.,
        focal (2,), princpt (2,), crop_from_image (3, 3) including the mirror of a left hand.
    gt: labels seen by the network, that is of a right hand (a left one is mirrored). Metres, camera frame.
        global_orient (1, 3, 3), hand_pose (15, 3, 3) absolute, betas (10,), keypoints_2d (21, 3) in crop widths
        [-0.5, 0.5] with confidence, keypoints_3d (21, 4) with confidence; flags has_global_orient, has_hand_pose, has_betas ().
    guidance: what the adapter may read. body_pose (22, 3, 3) in SMPL-X order, pelvis in the camera frame, the others relative
        to their parent, mirrored with a left hand; has_body_pose ().
    pred: what the estimator says, fields of `gt` and vertices (V, 3), cam (3,), cam_t (3,). pred_expert, pred_combined: the
        same of the rows that a dual path is compared with.
    """

    def tensors(self) -> Iterator[tuple[str, str, Tensor]]:
        """Every tensor as (group, field, value), by name: MMEngine keeps fields in a set, whose order differs by process."""
        for group in GROUPS:
            if group in self:
                element = self.get(group)
                for field in sorted(element.keys()):
                    yield group, field, element.get(field)

    def map(self, function: Callable[[Tensor], Tensor]) -> 'HMRDataSample':
        """A new sample with `function` applied to every tensor; metainfo is kept."""
        groups: dict[str, dict] = {}
        for group, field, value in self.tensors():
            groups.setdefault(group, {})[field] = function(value)
        return self._from_groups(self.metainfo, groups)

    def split(self) -> list['HMRDataSample']:
        """The single samples of a batch."""
        rows = [dict(group=g, field=f, values=v.unbind(0)) for g, f, v in self.tensors()]
        count = len(rows[0]['values']) if rows else len(next(iter(self.metainfo.values()), ()))
        singles = []
        for i in range(count):
            groups: dict[str, dict] = {}
            for row in rows:
                groups.setdefault(row['group'], {})[row['field']] = row['values'][i]
            singles.append(self._from_groups({k: v[i] for k, v in self.metainfo.items()}, groups))
        return singles

    @classmethod
    def _from_groups(cls, metainfo: dict, groups: dict[str, dict]) -> 'HMRDataSample':
        return cls(metainfo=metainfo, **{group: BaseDataElement(**fields) for group, fields in groups.items()})


def stack_samples(samples: Sequence[HMRDataSample]) -> HMRDataSample:
    """Single samples to a batch, every tensor stacked on a new first axis.

    Raises:
        ValueError: when the samples do not carry the same fields; names the first that differs.
    """
    rows = [{(group, field): value for group, field, value in sample.tensors()} for sample in samples]
    fields = list(rows[0])
    for sample, row in zip(samples, rows, strict=True):
        if list(row) != fields:
            odd = sorted(set(fields) ^ set(row))
            raise ValueError(f'samples {samples[0].get("key")!r} and {sample.get("key")!r} cannot be stacked: only one of them '
                             f'has {".".join(odd[0]) if odd else "its fields in this order"}; a pipeline must pack the same '
                             'fields for every sample and use validity flags for what is missing.')
    groups: dict[str, dict] = {}
    for group, field in fields:
        groups.setdefault(group, {})[field] = torch.stack([row[group, field] for row in rows])
    metainfo = {key: [sample.metainfo[key] for sample in samples] for key in samples[0].metainfo}
    return HMRDataSample._from_groups(metainfo, groups)


@FUNCTIONS.register_module()
def hmr_collate(items: Sequence[dict]) -> dict:
    """Dataset items to one batch, stacked in the worker so that few tensors cross the process border.

    Each item is dict(inputs (3, S, S) uint8 or float32, data_samples=HMRDataSample); the batch has inputs (B, 3, S, S).
    """
    inputs = [item['inputs'] for item in items]
    if any(image.dtype != inputs[0].dtype for image in inputs):
        inputs = [image.float() for image in inputs]
    return dict(inputs=torch.stack(inputs), data_samples=stack_samples([item['data_samples'] for item in items]))
