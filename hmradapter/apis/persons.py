"""From images and person boxes to `PersonPrediction`s. Persons of many images share a batch."""
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from hmradapter.apis.body_mesh import PARAMETERS, BodyModel
from hmradapter.apis.inference import check_box
from hmradapter.apis.loading import pipeline_step
from hmradapter.apis.prediction import Camera, PersonPrediction
from hmradapter.datasets.transforms import PackPersonInputs, PersonCrop
from hmradapter.geometry.cameras import full_image_translation, project
from hmradapter.geometry.handover import SIDES
from hmradapter.structures import HMRDataSample, hmr_collate
from hmradapter.structures.data_sample import ROWS

OURS = 'ours'


@dataclass(frozen=True, eq=False)
class PersonRequest:
    """One person to look at: image (H, W, 3) uint8 BGR, box (4,) x0, y0, x1, y1 px, its score and flags, the image's camera."""
    image: np.ndarray
    box: Sequence[float]
    camera: Camera
    score: float = 1.0
    flags: tuple[str, ...] = ()


class InferredPerson(NamedTuple):
    """rows: a prediction by row, 'ours' and those of `model.rows`; seconds: its share of the time of its batch."""
    rows: dict[str, PersonPrediction]
    seconds: float


def infer_persons(model: nn.Module, requests: Iterable[PersonRequest], batch_size: int = 8,
                  body_model: BodyModel | None = None) -> Iterator[InferredPerson]:
    """Predict persons, lazily and in order.

    Args:
        model: of `init_model`, a DualPathEstimator or a WholeBodyExpert (whose hands are its own, so both are 'missing').
        requests: persons; `batch_size` of them go through the network at once, whatever image they come from.
        body_model: `BodyModel.of(model.body_model)`, kept between calls by callers who have many images.

    Raises:
        ValueError: a box that cannot be used, or a prediction that is not finite.
    """
    check_batch_size(batch_size)
    body_model = body_model or BodyModel.of(model.body_model)
    crop, pack = PersonCrop(**pipeline_step(model, 'PersonCrop')), PackPersonInputs(image=True)
    requests = iter(requests)
    while batch := list(islice(requests, batch_size)):
        start = time.perf_counter()
        items = [pack(crop(_results(request, i))) for i, request in enumerate(batch)]
        with torch.no_grad():
            samples = model.test_step(hmr_collate(items))
        found = [_by_row(sample.map(lambda tensor: tensor.cpu()), request, model, body_model)
                 for request, sample in zip(batch, samples, strict=True)]
        seconds = (time.perf_counter() - start) / len(batch)
        yield from (InferredPerson(rows, seconds) for rows in found)


def check_batch_size(batch_size: int) -> None:
    """ValueError for less than one."""
    if batch_size < 1:
        raise ValueError(f'batch_size is {batch_size}; it must be at least 1.')


def check_rays(model: nn.Module, camera: Camera) -> None:
    """ValueError where the model turns rotations by the rays of crops, but the camera that these are of is a guess."""
    if camera.source == 'assumed' and any(getattr(model, 'ray_strength', ())):
        raise ValueError(f'ray_strength is {model.ray_strength}, which needs true intrinsics: from an assumed camera no ray '
                         'follows. Give intrinsics or focal, or set model.ray_strength to (0, 0).')


def _results(request: PersonRequest, index: int) -> dict:
    size = request.image.shape[1::-1]
    limit = np.float32(np.tile(np.subtract(size, 1), 2))
    box = np.clip(check_box(request.box, size), 0, limit)  # SMPLer-X's rule would shift a box that reaches beyond the border
    return dict(img=request.image, img_size=np.float32(size), bbox_xywh=np.concatenate((box[:2], box[2:] - box[:2])),
                focal=request.camera.focal, princpt=request.camera.princpt, key=str(index), sample_idx=index, img_path='')


def _by_row(sample: HMRDataSample, request: PersonRequest, model: nn.Module,
            body_model: BodyModel) -> dict[str, PersonPrediction]:
    groups = {OURS: sample.pred, **{row: sample.get(f'pred_{row}') for row in ROWS if f'pred_{row}' in sample}}
    return {row: _prediction(pred, sample.crop, request, model, body_model) for row, pred in groups.items()}


def _prediction(pred, crop, request: PersonRequest, model: nn.Module, body_model: BodyModel) -> PersonPrediction:
    values = {name: pred.get(name).float().numpy() for name in PARAMETERS}
    values.update({name: values[name][0] for name in ('global_orient', 'jaw_pose')})
    frame = getattr(model, 'body', model).head.frame
    translation = frame.full_image_translation(pred.cam_t.float(), crop.box_center, crop.box_size, crop.focal, crop.princpt)
    values['translation'] = translation.numpy()
    values |= _hands(pred, crop)
    bad = [name for name, value in values.items() if not np.isfinite(value).all()]
    if bad:
        raise ValueError(f'the network gave numbers that are not finite ({", ".join(bad)}) for the box '
                         f'{[round(float(x), 1) for x in request.box]}: check its weights.')
    vertices, keypoints = body_model.mesh(values)
    placed = torch.from_numpy(keypoints) + translation
    in_front = bool((vertices[:, 2] + float(translation[2]) > 0).all())
    pixels = project(placed, crop.focal, crop.princpt).numpy() if in_front else np.zeros((len(keypoints), 2), np.float32)
    flags = [*request.flags, *_hand_flags(pred), *(() if in_front else ('behind_camera',))]
    return PersonPrediction(
        box_xyxy=np.float32(request.box), score=float(request.score), crop_center=crop.box_center.numpy(),
        crop_size=crop.box_size.numpy(), keypoints_3d=keypoints, keypoints_2d=pixels, vertices=vertices,
        faces=body_model.faces, camera=request.camera, flags=tuple(flags), **values)


def _hands(pred, crop) -> dict[str, np.ndarray]:
    """The hand expert's readings; zeros and identities where it did not look."""
    if 'hand_present' not in pred:
        eye = np.eye(3, dtype=np.float32)
        return dict(hand_boxes=np.zeros((2, 4), np.float32), mano_global_orient=np.tile(eye, (2, 1, 1)),
                    mano_hand_pose=np.tile(eye, (2, 15, 1, 1)), mano_betas=np.zeros((2, 10), np.float32),
                    mano_translation=np.zeros((2, 3), np.float32), elbow_twist=np.zeros(2, np.float32))
    present = pred.hand_present
    is_right = torch.tensor([float(side == 'right') for side in SIDES])
    cam = torch.where(present.unsqueeze(1), pred.hand_cam.float(), torch.ones(3))  # of a missing hand: any that divides
    place = full_image_translation(cam, pred.hand_centers, pred.hand_sizes.clamp(min=1), crop.img_size, is_right,
                                   focal=crop.focal[0], princpt=crop.princpt)
    place[:, 1] *= crop.focal[0] / crop.focal[1]  # pixels that are not square
    place = torch.where(present.unsqueeze(1), place, 0)
    return dict(hand_boxes=pred.hand_boxes.float().numpy(), mano_global_orient=pred.hand_global_orient.float().numpy(),
                mano_hand_pose=pred.hand_pose.float().numpy(), mano_betas=pred.hand_betas.float().numpy(),
                mano_translation=place.float().numpy(), elbow_twist=pred.elbow_twist.float().numpy())


def _hand_flags(pred) -> list[str]:
    if 'hand_present' not in pred:
        return [f'{side}_hand_missing' for side in SIDES]
    flags = [f'{side}_hand_missing' for side, seen in zip(SIDES, pred.hand_present.tolist(), strict=True) if not seen]
    return flags + [f'{side}_wrist_uncertain' for side, unsure in zip(SIDES, pred.twist_uncertain.tolist(), strict=True)
                    if unsure]
