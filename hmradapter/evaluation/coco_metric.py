"""The metric of COCO-WholeBody: joints of predicted meshes, projected into the image, against marked ones."""
import json
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from mmengine.logging import print_log

from hmradapter.evaluation.gathered_metric import GatheredMetric
from hmradapter.evaluation.oks import oks_scores, results_of
from hmradapter.evaluation.protocols import KeypointProtocol
from hmradapter.evaluation.scores import Scores
from hmradapter.fileio import atomic_write, load_coco
from hmradapter.geometry.body_frame import BodyFrame
from hmradapter.geometry.boxes import apply_affine, invert_affine
from hmradapter.registry import METRICS
from hmradapter.structures.joints import SMPLX144_FROM_COCO133, WHOLE137_FROM_SMPLX144

if TYPE_CHECKING:
    from xtcocotools.coco import COCO

# Where the 133 stand among the expert's 137 joints. Stand-ins: SMPL-X's hip joints for COCO's hips, which are marked some
# centimetres further out and up; the body's wrists for those of the hands; for the face's contour what the camera sees of it.
WHOLE137_FROM_COCO133 = [WHOLE137_FROM_SMPLX144.index(joint) for joint in SMPLX144_FROM_COCO133]


@METRICS.register_module()
class CocoWholeBodyMetric(GatheredMetric):
    """AP and AR of 133 joints by object keypoint similarity, of the whole body and of body, feet, face and hands.

    Joints come from the predicted mesh through the predicted camera: the crop's virtual camera, whose pixels the crop's affine
    map takes back to the image. No camera of the image is needed, which COCO does not have.

    Args:
        ann_file: coco_wholebody_val_v1.0.json; the key of each sample names its image and annotation there.
        protocol: name in `protocols.PROTOCOLS`, or a dict that changes fields of one (images='given' for a part of a data set).
        frame: fields of `BodyFrame` that differ from the released models'; the same as the head's.
        dump_path: .json that keeps the joints in COCO-WholeBody's form of results, for any of its tools.
        prefix: of the logged names ('coco/AP/wholebody', 'coco/AR/face').
    """

    default_prefix = 'coco'
    protocol_kind = KeypointProtocol

    def __init__(self, ann_file: str, protocol: str | dict = 'coco-wholebody-val', frame: dict | None = None,
                 dump_path: str | None = None, prefix: str | None = None, collect_device: str = 'cpu',
                 collect_dir: str | None = None):
        if dump_path and not str(dump_path).endswith('.json'):
            raise ValueError(f'dump_path is {str(dump_path)!r}: marked joints are kept in COCO-WholeBody\'s form of results, '
                             'give a name that ends in .json.')
        super().__init__(protocol, dump_path, prefix=prefix, collect_device=collect_device, collect_dir=collect_dir)
        self.ann_file, self.frame = ann_file, BodyFrame(**(frame or {}))

    @cached_property
    def coco(self) -> 'COCO':
        """The truth, read by whoever scores."""
        return load_coco(self.ann_file)

    def _row(self, sample: Mapping) -> dict[str, np.ndarray]:
        crop = sample['crop']
        cells = sample['pred']['keypoints_2d'].detach().double().cpu()[WHOLE137_FROM_COCO133]
        pixels = cells * cells.new_tensor(self.frame.cell) * self.frame.crop_factor  # of the crop that the data loader cuts
        image = apply_affine(pixels, invert_affine(crop['crop_from_image'].double().cpu()[:2]))
        return dict(sample_idx=np.array([sample['sample_idx']], dtype=np.int64), key=np.array([str(sample['key'])]),
                    keypoints=image.float().numpy()[None])

    def _scored(self, arrays: dict[str, np.ndarray]) -> tuple[Scores, dict[str, np.ndarray]]:
        finite = np.isfinite(arrays['keypoints']).all((1, 2))
        if not finite.all():
            key = str(arrays['key'][np.argmin(finite)])
            raise ValueError(f'the prediction of sample {key!r} is not finite; a number computed from it would be meaningless.')
        images = [self._image(key) for key in arrays['key'].tolist()]
        results = results_of(arrays['keypoints'], images)
        counted = sorted(set(images)) if self.protocol.images == 'given' else self.coco.getImgIds()
        scores = Scores(self.protocol.on(self.dataset_meta), {}, {}, {}, (), '', 'persons', {},
                        sets=oks_scores(self.coco, results, counted))
        return scores, dict(results=results)

    def _image(self, key: str) -> int:
        """Number of the image that a sample is of; ValueError where the annotations are of another data set or split."""
        numbers = key.split('/')[-2:]
        if not all(number.isdigit() for number in numbers) or len(numbers) != 2:
            raise ValueError(f'the sample {key!r} is none of COCO-WholeBody, whose keys end in the numbers of an image and an '
                             'annotation: give CocoWholeBodySource as the source of the data set.')
        image, annotation = map(int, numbers)
        if self.coco.anns.get(annotation, {}).get('image_id') != image:
            raise ValueError(f'the sample {key!r} is not in {self.ann_file}: ann_file must be the file that the data set read.')
        return image

    def _write_dump(self, arrays: dict) -> None:
        with atomic_write(self.dump_path, 'w') as file:
            json.dump(arrays['results'], file)
        print_log(f'joints written to {self.dump_path} in COCO-WholeBody\'s form of results', logger='current')
