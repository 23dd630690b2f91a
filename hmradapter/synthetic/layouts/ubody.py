"""A tiny UBody: two scenes of videos cut into images, joints marked as in COCO-WholeBody, SMPL-X fits of everybody.

Planted: a `file_name` that starts with '/'; pieces of a long video (_Trim) whose split is that of the whole; a label that is
declared not valid; hands' boxes half as wide again; fingers without the mean hand; a person without a fit.
"""
import json
from pathlib import Path

import cv2
import numpy as np

from hmradapter.synthetic.layouts.coco_persons import annotation_of, fit_of, truth_of
from hmradapter.synthetic.layouts.shots import take_shots

SIZE = (192, 144)
# scene: folder of the images in file_name; a picture each
VIDEOS = dict(Speech=('Speech/Speech_V1_Trim3', '/Speech/Speech_V1_Trim4', 'Speech/Speech_V2'),
              TalkShow=('TalkShow_V7', 'TalkShow_V8', 'TalkShow_V8'))
TESTED = dict(intra=('Speech_V1', 'TalkShow_V8'), inter=('TalkShow_V7', 'TalkShow_V8'))
NOT_VALID, NO_FIT = ('TalkShow', 2), ('Speech', 2)  # scene, picture


def write_ubody(root, body_model_root, seed: int = 0) -> dict[str, dict]:
    """Write the release under `root`; returns {key of a record, split of the intra-scene protocol: see `truth_of`} of whom a
    loader should find, with `has_fit`."""
    root, rng, truth = Path(root), np.random.default_rng(seed), {}
    shots = iter(take_shots(body_model_root, 6, SIZE, seed=seed, framings=('upper',)))
    for scene, videos in VIDEOS.items():
        images, annotations, fits = [], [], {}
        for k, video in enumerate(videos):
            shot, image_id, number = next(shots), 100 + k, 7000 + 3 * k
            figure, = shot.figures
            name = f'{video}/{k:06d}.png'
            path = root / 'images' / scene / name.lstrip('/')
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), shot.image)
            images.append(dict(id=image_id, file_name=name, width=SIZE[0], height=SIZE[1]))
            mark = annotation_of(shot, figure, number, image_id, rng, padding=1.5)
            annotations.append(mark | dict(valid_label=int((scene, k) != NOT_VALID)))
            if (scene, k) != NO_FIT:
                fits[str(number)] = fit_of(shot, figure, body_model_root)
            plain = video.split('/')[-1].split('_Trim')[0]
            split = 'test' if plain in TESTED['intra'] else 'train'
            if (scene, k) != NOT_VALID:
                truth[f'ubody/{split}/{scene}/{image_id}/{number}'] = dict(
                    truth_of(shot, figure, mark, f'images/{scene}/{name.lstrip("/")}'), has_fit=(scene, k) != NO_FIT)
        folder = root / 'annotations' / scene
        folder.mkdir(parents=True, exist_ok=True)
        (folder / 'keypoint_annotation.json').write_text(json.dumps(dict(images=images, annotations=annotations)))
        (folder / 'smplx_annotation.json').write_text(json.dumps(fits))
    (root / 'splits').mkdir(exist_ok=True)
    for protocol, names in TESTED.items():
        np.save(root / 'splits' / f'{protocol}_scene_test_list.npy', np.array(names))
    return truth
