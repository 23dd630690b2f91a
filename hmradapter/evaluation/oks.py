"""Average precision and recall of 133 joints by object keypoint similarity (OKS), computed by `xtcocotools`.

Of a person, OKS = mean over marked joints of exp(-d^2 / (2 area (2 sigma)^2)), d the distance and area that of the person's
mask, px; of a part the mean is over its joints. A person of whom nothing of a part is marked does not count for it.
Source of the sigmas: `jin-s13/xtcocoapi` demos/demo_coco_wholebody.py.
"""
import contextlib
import copy
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from hmradapter.structures.joints import COCO133_PARTS

if TYPE_CHECKING:
    from xtcocotools.coco import COCO

_HAND = (0.029, 0.022, 0.035, 0.037, 0.047, 0.026, 0.025, 0.024, 0.035, 0.018, 0.024, 0.022, 0.026, 0.017, 0.021, 0.021, 0.032,
         0.020, 0.019, 0.022, 0.031)
SIGMAS = dict(
    body=(0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072, 0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089,
          0.089),
    feet=(0.068, 0.066, 0.066, 0.092, 0.094, 0.094),
    face=(0.042, 0.043, 0.044, 0.043, 0.040, 0.035, 0.031, 0.025, 0.020, 0.023, 0.029, 0.032, 0.037, 0.038, 0.043, 0.041, 0.045,
          0.013, 0.012, 0.011, 0.011, 0.012, 0.012, 0.011, 0.011, 0.013, 0.015, 0.009, 0.007, 0.007, 0.007, 0.012, 0.009, 0.008,
          0.016, 0.010, 0.017, 0.011, 0.009, 0.011, 0.009, 0.007, 0.013, 0.008, 0.011, 0.012, 0.010, 0.034, 0.008, 0.008, 0.009,
          0.008, 0.008, 0.007, 0.010, 0.008, 0.009, 0.009, 0.009, 0.007, 0.007, 0.008, 0.011, 0.008, 0.008, 0.008, 0.010,
          0.008),
    left_hand=_HAND, right_hand=_HAND)
# Our name of a part: that of xtcocotools, and of an annotation's and a result's field.
PARTS = dict(body=('keypoints_body', 'keypoints'), feet=('keypoints_foot', 'foot_kpts'), face=('keypoints_face', 'face_kpts'),
             left_hand=('keypoints_lefthand', 'lefthand_kpts'), right_hand=('keypoints_righthand', 'righthand_kpts'))
ROWS = dict(AP=0, AP50=1, AP75=2, AR=5)  # of COCOeval's ten numbers


def results_of(keypoints: np.ndarray, image_ids: Sequence[int]) -> list[dict]:
    """Joints (N, 133, 2) px in COCO-WholeBody's form of results, all with score 1."""
    with_score = np.concatenate((keypoints, np.ones_like(keypoints[..., :1])), axis=-1).astype(np.float64)
    scores = {f'{name}score': 1.0 for name in ('', 'wholebody_', 'foot_', 'face_', 'lefthand_', 'righthand_')}
    return [dict(image_id=int(image_id), category_id=1, **scores,
                 **{field: person[COCO133_PARTS[part]].ravel().tolist() for part, (_, field) in PARTS.items()})
            for image_id, person in zip(image_ids, with_score, strict=True)]


def oks_scores(coco: 'COCO', results: list[dict], image_ids: Sequence[int]) -> dict[str, dict[str, float]]:
    """{'AP': {part: ...}, 'AP50': ..., 'AP75': ..., 'AR': ...} of `results` on images of `coco`; parts are wholebody, body,
    feet, face, left_hand, right_hand, and hands, the mean of both. A part that is marked nowhere has no number."""
    from xtcocotools.cocoeval import COCOeval

    found: dict[str, dict[str, float]] = {name: {} for name in ROWS}
    kinds = {'wholebody': ('keypoints_wholebody', np.concatenate([SIGMAS[part] for part in COCO133_PARTS]))}
    kinds |= {part: (kind, np.array(SIGMAS[part])) for part, (kind, _) in PARTS.items()}
    with contextlib.redirect_stdout(io.StringIO()):
        predicted = coco.loadRes(copy.deepcopy(results))  # it writes into them
        for part, (kind, sigmas) in kinds.items():
            evaluation = COCOeval(coco, predicted, kind, sigmas, use_area=True)
            evaluation.params.imgIds = sorted(image_ids)
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
            for name, row in ROWS.items():
                if evaluation.stats[row] >= 0:  # -1: nothing to find
                    found[name][part] = float(evaluation.stats[row])
    for values in found.values():
        if {'left_hand', 'right_hand'} <= values.keys():
            values['hands'] = (values['left_hand'] + values['right_hand']) / 2
    return found
