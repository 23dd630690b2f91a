"""From an image and hand boxes to `HandPrediction`s. N hands of one image, B of them in a batch."""
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from hmradapter.apis.hand_mesh import HandModel
from hmradapter.apis.loading import pipeline_step
from hmradapter.apis.prediction import Camera, HandPrediction
from hmradapter.apis.side_choice import choose_side
from hmradapter.datasets.transforms import HandCrop, PackHandInputs
from hmradapter.geometry.cameras import full_image_focal, full_image_translation, project
from hmradapter.geometry.handover import SIDES
from hmradapter.geometry.mirror import mirror_camera
from hmradapter.geometry.rotations import axis_angle_to_rotmat
from hmradapter.structures import HMRDataSample, hmr_collate

NUM_BODY_JOINTS = 22


def make_camera(size: tuple[int, int], intrinsics: np.ndarray | None = None, focal: float | None = None) -> Camera:
    """Camera of an image of `size` (width, height): K (3, 3) px as given, or a focal length in px with the principal point at
    the centre, or HaMeR's assumption.

    Raises:
        ValueError: K is no intrinsic matrix, a focal length is not positive.
    """
    center = np.array(size, np.float32) / 2
    if intrinsics is not None:
        K = np.asarray(intrinsics, np.float64)
        if K.shape != (3, 3) or not np.isfinite(K).all() or K[0, 0] <= 0 or K[1, 1] <= 0 or not np.allclose(K[2], (0, 0, 1)):
            raise ValueError(f'intrinsics are {K.tolist()}, but K is [[fx, 0, cx], [0, fy, cy], [0, 0, 1]] in pixels.')
        if abs(K[0, 1]) > 1e-6 or abs(K[1, 0]) > 1e-6:
            raise ValueError(f'intrinsics have a skew ({K[0, 1]}, {K[1, 0]}); rectify the image first.')
        return Camera(np.float32([K[0, 0], K[1, 1]]), np.float32(K[:2, 2]), tuple(size), 'given')
    if focal is not None:
        if not np.isfinite(focal) or focal <= 0:
            raise ValueError(f'the focal length is {focal}; it must be a positive number of pixels.')
        return Camera(np.float32([focal, focal]), center, tuple(size), 'given')
    assumed = float(full_image_focal(torch.tensor(size, dtype=torch.float32)))
    return Camera(np.float32([assumed, assumed]), center, tuple(size), 'assumed')


def check_box(box: Sequence[float], size: tuple[int, int]) -> np.ndarray:
    """A box x0, y0, x1, y1 (4,) in px as float32.

    Raises:
        ValueError: it is not four finite numbers, covers nothing, or lies outside the image of `size` (width, height).
    """
    try:
        found = np.asarray(box, np.float32)
    except (TypeError, ValueError):
        found = np.zeros(0, np.float32)
    if found.shape != (4,) or not np.isfinite(found).all():
        raise ValueError(f'box {_text(box)} is not four finite numbers x0, y0, x1, y1.')
    x0, y0, x1, y1 = found.tolist()
    if x1 <= x0 or y1 <= y0:
        raise ValueError(f'box {_text(box)} is empty: x1 must be greater than x0, and y1 than y0.')
    if x1 <= 0 or y1 <= 0 or x0 >= size[0] - 1 or y0 >= size[1] - 1:
        raise ValueError(f'box {_text(box)} lies outside the image of {size[0]} x {size[1]} pixels.')
    return found


def infer_hands(model: nn.Module, image: np.ndarray, boxes: Sequence[Sequence[float]], hands: Sequence[str],
                body_poses: Sequence[np.ndarray | None] | None = None, intrinsics: np.ndarray | None = None,
                focal: float | None = None, batch_size: int = 16, hand_model: HandModel | None = None) -> list[HandPrediction]:
    """Predict the hands in boxes of one image.

    Args:
        model: of `init_model`.
        image: (H, W, 3) uint8 BGR, as OpenCV reads it.
        boxes: (N, 4) x0, y0, x1, y1 in px, tight around each hand; crops are enlarged as the config's `HandCrop` says.
        hands: N times 'right', 'left' or 'auto'; the latter tries both and keeps the better (`side_choice`).
        body_poses: N guiding bodies or None each: (22, 3) axis-angle or (22, 3, 3), SMPL-X order, pelvis in the camera frame,
            the others relative to their parents, not mirrored. Read by a model with an adapter only.
        intrinsics: K (3, 3) px; or `focal` px alone; else HaMeR's assumption (see `make_camera`).
        hand_model: `HandModel.of(model.body_model)`, kept between calls by callers who have many images.

    Returns:
        one prediction a box, in order.

    Raises:
        ValueError: a box, side, pose, image or camera that cannot be used, or a prediction that is not finite.
    """
    image = _checked_image(image)
    size = (image.shape[1], image.shape[0])
    checked = [check_box(box, size) for box in boxes]
    bodies = [check_body(body) for body in (body_poses if body_poses is not None else [None] * len(checked))]
    if not len(checked) == len(hands) == len(bodies):
        raise ValueError(f'{len(checked)} boxes, {len(hands)} sides and {len(bodies)} body poses: there must be one per hand.')
    for hand in hands:
        if hand not in (*SIDES, 'auto'):
            raise ValueError(f"hand is {hand!r}; it must be 'right', 'left' or 'auto'.")
    camera = make_camera(size, intrinsics, focal)
    hand_model = hand_model or HandModel.of(model.body_model)
    crop, pack = inference_crop(model), PackHandInputs()
    tries = [(i, side) for i, hand in enumerate(hands) for side in (SIDES if hand == 'auto' else (hand,))]
    items = [pack(crop(_results(image, i, checked[i], side, bodies[i], camera))) for i, side in tries]
    found: list[list[HandPrediction]] = [[] for _ in checked]
    for start in range(0, len(items), batch_size):
        for sample in _predict(model, items[start:start + batch_size]):
            i = int(sample.sample_idx)
            found[i].append(_prediction(sample, checked[i], camera, hand_model, model.adapter is not None))
    return [options[0] if len(options) == 1 else choose_side(options, body)
            for options, body in zip(found, bodies, strict=True)]


@contextmanager
def adapter_off(model: nn.Module) -> Iterator[nn.Module]:
    """The same model as its frozen base, for the length of a `with` block."""
    adapter, model.adapter = model.adapter, None
    try:
        yield model
    finally:
        model.adapter = adapter


def inference_crop(model: nn.Module) -> HandCrop:
    """The crop of the model's test pipeline with HaMeR's inference rule on top: what shrinks a lot is blurred first."""
    return HandCrop(**(pipeline_step(model, 'HandCrop') | dict(blur=True)))


def check_body(body: np.ndarray | None) -> Tensor | None:
    """(22, 3) axis-angle or (22, 3, 3) -> (22, 3, 3) float32; None stays."""
    if body is None:
        return None
    pose = torch.as_tensor(np.asarray(body, np.float32))
    if pose.shape == (NUM_BODY_JOINTS, 3):
        pose = axis_angle_to_rotmat(pose)
    if pose.shape != (NUM_BODY_JOINTS, 3, 3) or not pose.isfinite().all():
        raise ValueError(f'a body pose has the shape {tuple(np.shape(body))}; it must be (22, 3) axis-angle '
                         'or (22, 3, 3), finite.')
    if (pose @ pose.transpose(1, 2) - torch.eye(3)).abs().max() > 1e-3 or (torch.det(pose) < 0).any():
        raise ValueError('a body pose of shape (22, 3, 3) holds matrices that are no rotations.')
    return pose


def _checked_image(image: np.ndarray) -> np.ndarray:
    if not isinstance(image, np.ndarray) or image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        shape = getattr(image, 'shape', type(image).__name__)
        raise ValueError(f'the image is {shape} {getattr(image, "dtype", "")}; it must be (H, W, 3) uint8 BGR.')
    return image


def _text(box) -> str:
    try:
        return '[' + ', '.join(f'{float(value):g}' for value in box) + ']'
    except (TypeError, ValueError):
        return repr(box)


def _results(image: np.ndarray, index: int, box: np.ndarray, hand: str, body: Tensor | None, camera: Camera) -> dict:
    """What the crop and the packing read."""
    identity = torch.eye(3).expand(NUM_BODY_JOINTS, 3, 3)
    return dict(img=image, img_size=np.float32(camera.size), box_center=(box[:2] + box[2:]) / 2, box_wh=box[2:] - box[:2],
                hand=hand, focal=camera.focal, princpt=camera.princpt, key=str(index), img_path='', sample_idx=index,
                body_pose=identity if body is None else body, has_body_pose=float(body is not None))


@torch.no_grad()
def _predict(model: nn.Module, items: list[dict]) -> list[HMRDataSample]:
    # float32 (blurred) and uint8 crops may meet in one batch; hmr_collate makes them float32
    return model.test_step(hmr_collate(items))


def _prediction(sample: HMRDataSample, box: np.ndarray, camera: Camera, hand_model: HandModel,
                has_adapter: bool) -> HandPrediction:
    sample = sample.map(lambda tensor: tensor.cpu().float())
    crop, pred = sample.crop, sample.pred
    values = dict(global_orient=pred.global_orient[0].numpy(), hand_pose=pred.hand_pose.numpy(), betas=pred.betas.numpy(),
                  crop_cam=pred.cam.numpy())
    bad = [name for name, value in values.items() if not np.isfinite(value).all()]
    if bad:
        raise ValueError(f'the network gave numbers that are not finite ({", ".join(bad)}) for box {_text(box)}: '
                         'check its weights.')
    # full_image_translation takes the network's own camera, that of the mirrored crop for a left hand
    network_cam = pred.cam if crop.is_right > 0.5 else mirror_camera(pred.cam)
    translation = full_image_translation(network_cam, crop.box_center, crop.box_size, crop.img_size, crop.is_right,
                                         focal=crop.focal[0], princpt=crop.princpt)
    translation[1] *= crop.focal[0] / crop.focal[1]  # pixels that are not square
    vertices, keypoints, faces = hand_model.mesh(sample.hand, values['global_orient'], values['hand_pose'], values['betas'])
    placed = torch.from_numpy(keypoints) + translation
    in_front = bool((vertices[:, 2] + float(translation[2]) > 0).all())
    pixels = project(placed, crop.focal, crop.princpt).numpy() if in_front else np.zeros((21, 2), np.float32)
    return HandPrediction(
        hand=sample.hand, box_xyxy=box, crop_center=crop.box_center.numpy(), crop_size=float(crop.box_size),
        translation=translation.numpy(), vertices=vertices, keypoints_3d=keypoints, keypoints_2d=pixels, faces=faces,
        camera=camera, guided=has_adapter and bool(sample.guidance.has_body_pose > 0),
        flags=() if in_front else ('behind_camera',), **values)
