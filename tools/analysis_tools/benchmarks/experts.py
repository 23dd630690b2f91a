"""An expert with its adapter: attention paths, training steps, inference, memory. Weights and images are random."""
import argparse
import copy
import gc
import warnings
from collections.abc import Callable, Iterator

import torch
from mmengine.structures import BaseDataElement
from torch import nn

from hmradapter.geometry.rotations import axis_angle_to_rotmat
from hmradapter.models.estimators import WholeBodyExpert
from hmradapter.models.precision import frozen_dtype
from hmradapter.registry import MODELS
from hmradapter.structures import HMRDataSample
from hmradapter.structures.joints import POSE53_PARTS

from .measuring import Row, compare, peak_memory, timed


def build(model_cfg: dict, device: torch.device, **changes) -> nn.Module:
    """The config's model with random weights."""
    config = dict(copy.deepcopy(model_cfg), expert=None, **changes)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # random weights are announced, and meant here
        return MODELS.build(config).to(device)


def make_batch(model: nn.Module, batch_size: int, device: torch.device) -> tuple[torch.Tensor, HMRDataSample]:
    """Random crops with labels and guidance for every loss."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(batch_size, *shape, generator=generator)

    if isinstance(model, WholeBodyExpert):
        size, groups = model.head.frame.crop_size, person_labels(normal)
    else:
        size, groups = (model.backbone.img_size[0],) * 2, hand_labels(normal)
    batch = HMRDataSample(**{name: BaseDataElement(**fields) for name, fields in groups.items()})
    return normal(3, *size).to(device), batch.map(lambda value: value.to(device))


def hand_labels(normal: Callable[..., torch.Tensor]) -> dict[str, dict[str, torch.Tensor]]:
    """Labels and guidance of hands."""
    pose, ones = axis_angle_to_rotmat(0.3 * normal(16, 3)), torch.ones_like(normal())
    gt = dict(global_orient=pose[:, :1], hand_pose=pose[:, 1:], betas=normal(10), keypoints_2d=normal(21, 3).abs(),
              keypoints_3d=normal(21, 4).abs(), has_global_orient=ones, has_hand_pose=ones, has_betas=ones)
    return dict(gt=gt, guidance=dict(body_pose=axis_angle_to_rotmat(0.3 * normal(22, 3)), has_body_pose=ones))


def person_labels(normal: Callable[..., torch.Tensor]) -> dict[str, dict[str, torch.Tensor]]:
    """Labels and guidance of persons."""
    pose = axis_angle_to_rotmat(0.3 * normal(53, 3))
    gt = dict({name: pose[:, part] for name, part in POSE53_PARTS.items()}, betas=normal(10), expression=normal(10),
              keypoints_3d=normal(137, 4).abs(), heatmap_joints=4 * normal(137, 4).abs(), boxes=4 * normal(3, 4).abs())
    flags = dict(pose_valid=(53,), has_betas=(), has_expression=(), has_boxes=(3,))
    gt.update({name: torch.ones_like(normal(*shape)) for name, shape in flags.items()})
    return dict(gt=gt, guidance=dict(hand_joints=4 * normal(2, 20, 3).abs(), has_hands=torch.ones_like(normal(2))))


def measure_paths(model_cfg: dict, args: argparse.Namespace, device: torch.device) -> Iterator[Row]:
    """Backbone and head, each on its own, in three ways; SMPLer-X's head has no attention."""
    model = build(model_cfg, device, adapter=None, trainable=None, body_model=None, losses=None).eval()
    images, _ = make_batch(model, args.batch_size, device)
    height, width = model.backbone.img_size
    images = images[..., :height, :width].contiguous()
    parts = [('backbone', model.backbone, images)]
    if not isinstance(model, WholeBodyExpert):
        with torch.inference_mode():
            parts.append(('head', model.head, model.backbone(images)))
    for name, part, given in parts:
        half, half_given = copy.deepcopy(part).to(torch.bfloat16), given.to(torch.bfloat16)
        variants = {f'{name}, plain attention': lambda part=part, given=given: run(part, given, fused=False),
                    f'{name}, fused attention': lambda part=part, given=given: run(part, given),
                    f'{name}, fused attention in bfloat16': lambda half=half, given=half_given: run(half, given)}
        yield from compare('paths', variants, args.repeats, device, ('float32', 'float32', 'bfloat16'))


def run(part: nn.Module, given: torch.Tensor, fused: bool = True) -> None:
    """One forward pass without gradients, on the fused or the plain path."""
    for module in part.modules():
        if hasattr(module, 'fused'):
            module.fused = fused
    with torch.inference_mode():
        part(given)


def measure_training(model_cfg: dict, args: argparse.Namespace, device: torch.device) -> Iterator[Row]:
    """Frozen forward, adapter step, full step. One model lives at a time, since its memory counts."""
    frozen, adapted = measure_adapter_step(model_cfg, args, device)
    yield from (frozen, adapted)
    model = build(model_cfg, device, adapter=None, trainable=None).train()
    step = training_step(model, *make_batch(model, args.batch_size, device))
    full, = compare('training', {'full fine-tuning step': step}, args.repeats, device, ('float32',))
    yield full._replace(ratio=full.seconds / frozen.seconds, peak_mib=peak_memory(step, device))


def measure_adapter_step(model_cfg: dict, args: argparse.Namespace, device: torch.device) -> list[Row]:
    """The adapter's training step against what the frozen expert would cost without one."""
    model = build(model_cfg, device, trainable=['adapter']).train()
    inputs, batch = make_batch(model, args.batch_size, device)
    step = training_step(model, inputs, batch)
    precision = str(frozen_dtype(model.frozen_dtype, device)).removeprefix('torch.')
    rows = list(compare('training', {'frozen forward alone': lambda: frozen_forward(model, inputs),
                                     'adapter training step': step}, args.repeats, device, (precision, precision)))
    return [rows[0], rows[1]._replace(peak_mib=peak_memory(step, device))]


def frozen_forward(model: nn.Module, inputs: torch.Tensor) -> None:
    """The frozen expert's own work in a training step, with its precision."""
    adapter, model.adapter = model.adapter, None
    with torch.no_grad():
        model.regress(inputs, None)
    model.adapter = adapter


def training_step(model: nn.Module, inputs: torch.Tensor, batch: HMRDataSample) -> Callable[[], None]:
    """A function that makes one optimizer step on all that learns."""
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-6)

    def step() -> None:
        optimizer.zero_grad()
        sum(model(inputs, batch, mode='loss').values()).backward()
        optimizer.step()
    return step


def measure_inference(model_cfg: dict, args: argparse.Namespace, device: torch.device) -> Iterator[Row]:
    """Crops to meshes, with and without the adapter beside the same frozen expert."""
    model = build(model_cfg, device, trainable=['adapter']).eval()
    inputs, batch = make_batch(model, args.batch_size, device)
    adapter = model.adapter

    def predict(with_adapter: bool) -> None:
        model.adapter = adapter if with_adapter else None
        with torch.inference_mode():
            model(inputs, batch)

    precision = str(frozen_dtype(model.frozen_dtype, device)).removeprefix('torch.')
    yield from compare('inference', {'base': lambda: predict(False), 'base and adapter': lambda: predict(True)}, args.repeats,
                       device, (precision, precision))


def measure_memory(model_cfg: dict, args: argparse.Namespace, device: torch.device) -> Iterator[Row]:
    """One crop from nothing, in both precisions of the backbone. Each model is gone before the next one is built."""
    first = None
    for choice in ('fp32', 'bf16'):
        seconds = []

        def predict(choice=choice, seconds=seconds) -> None:
            model = build(model_cfg, device, trainable=['adapter'], losses=None, frozen_dtype=choice).eval()
            inputs, batch = make_batch(model, 1, device)
            with torch.inference_mode():
                seconds.append(timed(lambda: model(inputs, batch), device))

        peak = peak_memory(predict, device)
        if not seconds:  # nobody tells the peak here
            predict()
        gc.collect()
        first = first or seconds[0]
        precision = str(frozen_dtype(choice, device)).removeprefix('torch.')
        yield Row('memory', 'one crop, from building to mesh', precision, seconds[0], seconds[0] / first, peak)


GROUPS = dict(paths=measure_paths, training=measure_training, inference=measure_inference, memory=measure_memory)
