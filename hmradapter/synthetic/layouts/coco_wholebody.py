"""A tiny COCO-WholeBody: photographs, 133 marked joints a person, and OSX's fits for `train`.

Planted: confidences of 0.4, 1 and 2 mixed and one of 0.1; a left hand that nobody could mark; hips beside SMPL-X's; joints out
of the picture; boxes some pixels off; a crowd and a person without joints; ids as strings in the fits and numbers in the
annotations; a fit whose right hand does not hold, one that leaves that to the annotation; a person without a fit.
"""
import json
from pathlib import Path

import cv2
import numpy as np

from hmradapter.synthetic.layouts.coco_persons import annotation_of, fit_of, truth_of, without
from hmradapter.synthetic.layouts.shots import take_shots

SIZE = (256, 192)
KEYPOINTS = dict(id=1, name='person', supercategory='person')
RLE = dict(counts=[0, 100, SIZE[0] * SIZE[1] - 100], size=list(SIZE[::-1]))


def write_coco_wholebody(root, body_model_root, seed: int = 0) -> dict[str, dict]:
    """Write both splits under `root`; returns {key of a record: see `truth_of`} of whom a loader should find."""
    root, rng, truth = Path(root), np.random.default_rng(seed), {}
    fits = {}
    for split, people, first in (('val', 2, 785), ('train', 1, 40083)):
        shots = take_shots(body_model_root, 2 if split == 'val' else 4, SIZE, seed=seed + first, people=people)
        images, annotations = [], []
        (root / f'{split}2017').mkdir(parents=True, exist_ok=True)
        for k, shot in enumerate(shots):
            image_id = first + 17 * k
            name = f'{image_id:012d}.jpg'
            images.append(dict(id=image_id, file_name=name, width=SIZE[0], height=SIZE[1]))
            cv2.imwrite(str(root / f'{split}2017' / name), shot.image, [cv2.IMWRITE_JPEG_QUALITY, 90])
            for figure in shot.figures:
                number = 198196 + 7 * len(annotations)
                mark = annotation_of(shot, figure, number, image_id, rng)
                if not annotations:
                    mark = without(mark, 'lefthand')
                    mark['righthand_kpts'][3 * 8 + 2] = 0.1  # the tip of the index finger is a guess
                annotations.append(mark)
                truth[f'coco_wholebody/{split}/{image_id}/{number}'] = truth_of(shot, figure, mark, f'{split}2017/{name}')
                if split == 'train' and k < 3:
                    fits[str(number)] = fit_of(shot, figure, body_model_root)
            if k == 0:
                annotations += _nobody(annotations[-1], image_id)
        if split == 'train':
            second = list(fits.values())[1]['smplx_param']
            second |= dict(lhand_valid=True, rhand_valid=False, face_valid=True, rhand_pose=[0.5] * 45)
        (root / 'annotations').mkdir(exist_ok=True)
        with open(root / 'annotations' / f'coco_wholebody_{split}_v1.0.json', 'w') as file:
            json.dump(dict(images=images, annotations=annotations, categories=[KEYPOINTS]), file)
    with open(root / 'annotations' / 'MSCOCO_train_SMPLX.json', 'w') as file:
        json.dump(fits, file)
    return truth


def _nobody(like: dict, image_id: int) -> list[dict]:
    """A crowd, and a person of whom nothing was marked."""
    empty = {name: [0] * len(values) for name, values in like.items() if name.endswith(('kpts', 'keypoints', '_box'))
             and isinstance(values, list)}
    empty |= {f'{name}_valid': False for name in ('lefthand', 'righthand', 'face', 'foot')}
    return [like | empty | dict(id=900100000785 + image_id, iscrowd=1, num_keypoints=0, segmentation=RLE),
            like | empty | dict(id=1202706 + image_id, num_keypoints=0)]
