"""HaMeR's whole network: ours against the recorded output of every layer, the losses and the gradients' norms.

Any size of network: all numbers come from the fixture's config and weights. Intermediate values come from forward hooks.
"""
import json
import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from hmradapter.body_models import MANOLayer
from hmradapter.geometry.cameras import cam_t_from_cam, perspective_projection
from hmradapter.geometry.rotations import axis_angle_to_rotmat, rot6d_to_rotmat
from hmradapter.models.backbones import HaMeRViT, middle_columns
from hmradapter.models.data_preprocessor import IMAGENET_MEAN, IMAGENET_STD
from hmradapter.models.expert_weights import hamer_from_ours, load_expert
from hmradapter.models.heads import MANODecoderHead
from hmradapter.models.losses import BetasLoss, Keypoint2DLoss, Keypoint3DLoss, RotationMatrixLoss

from .report import Row, compare

INPUTS = ('img', 'img_rgb_u8', 'gt.*')
OUTPUTS = ('bb.*', 'dec.*', 'head.*', 'out.*', 'loss.*', 'grad*')

# First prefix that fits an array's name, and its absolute tolerance: the fixtures' README. A readout of the head has the figure
# of the parameter that it makes, and what comes before the features has that of the features.
TOLERANCES = (('out.global_orient', 1e-5), ('out.hand_pose', 1e-5), ('out.betas', 5e-6), ('out.cam_t', 1e-4), ('out.cam', 5e-6),
              ('head.decshape', 5e-6), ('head.deccam', 5e-6), ('out.vertices', 2e-6), ('out.keypoints', 2e-6),
              ('out.focal_length', 0.0), ('bb.', 2e-5), ('dec.', 2e-5), ('head.', 2e-5), ('out.pose6d', 2e-5))
NOISE_FACTOR = 4  # where the reference's own float32 noise, given per fixture, is larger than the README saw: a multiple of it
RESIDUAL_RTOL = 2e-6  # of the ViT's tokens before the last norm, whose size grows with depth; the README gives no figure
LOSS_RTOL = 1e-5
GRADIENT_RTOL = 1e-4
LOSS_WEIGHTS = dict(keypoints_2d=0.01, keypoints_3d=0.05, global_orient=0.001, hand_pose=0.001, betas=0.0005)  # HaMeR's
MADE_UP_HAND = Path(__file__).parents[3] / 'tests' / 'data' / 'parity' / 'hamer' / 'mano_synth.npz'
LABELS = {'gt.keypoints_2d', 'gt.keypoints_3d', *(f'gt.{group}.{name}' for name in ('global_orient', 'hand_pose', 'betas')
                                                  for group in ('mano_params', 'has_mano_params', 'mano_params_is_axis_angle'))}
NEED_MESH = ('out.keypoints_3d', 'out.vertices', 'out.keypoints_2d', 'gt.')


@dataclass
class Result:
    """Comparisons; the names of all that the fixture holds (gradient norms as grad.<HaMeR's key>); remarks for the reader."""
    rows: list[Row]
    names: list[str]
    remarks: list[str] = field(default_factory=list)


def check(weights: str, config: str, io: str, mano: str | None = None, fused: bool = True) -> Result:
    """Run the network on the fixture's images and compare every array that is there."""
    description = json.loads(Path(config).read_text())
    with np.load(io) as data:
        arrays = {name: data[name] for name in data.files}
    norms = description.get('grad_l2_norms') or {}
    sizes = description.get('config', description)
    network = build_network(sizes, fused)
    load_expert(network, weights)
    network.hand = _hand_model(mano, io, needed=any(name.startswith(NEED_MESH) for name in arrays))
    labelled = arrays.keys() >= LABELS
    remarks = [] if labelled or not norms else ['grad_l2_norms are not checked: the fixture lacks the gt.* that make the loss']
    norms = norms if labelled else {}
    record = Recorder(network)
    with torch.set_grad_enabled(bool(norms)):
        out = network(_images(arrays))
        values = {**record.arrays(), **{f'out.{name}': value for name, value in out.items()}}
        if labelled:
            losses = hamer_losses(out, {name.removeprefix('gt.'): torch.from_numpy(np.asarray(value))
                                        for name, value in arrays.items() if name.startswith('gt.')})
            values.update({f'loss.{name}': value for name, value in losses.items()})
    rows = _compare_all(values, arrays, description.get('float32_vs_float64_max_abs') or {})
    if norms:
        losses['total'].backward()
        rows += _compare_norms(network, norms)
    return Result(rows, [*arrays, *(f'grad.{name}' for name in norms)], remarks)


def build_network(sizes: dict, fused: bool = True) -> 'Network':
    """The network of a fixture's config; ValueError for what we do not have."""
    vit, decoder = sizes['backbone'], sizes['decoder']
    if decoder.get('norm', 'layer') != 'layer':
        raise ValueError(f"the config asks for norm {decoder['norm']!r} in the decoder; HaMeR has layer norms only.")
    ratio = vit.get('ratio', 1)  # how far patches overlap; HaMeR's is 1, which gives its padding of 2
    backbone = HaMeRViT(tuple(vit['img_size']), vit['patch_size'], vit['embed_dim'], vit['depth'], vit['num_heads'],
                        vit.get('mlp_ratio', 4), vit.get('drop_path_rate', 0),
                        padding=vit.get('padding', 4 + 2 * (ratio // 2 - 1)), stride=vit['patch_size'] // ratio,
                        qkv_bias=vit.get('qkv_bias', True), fused=fused)
    head = MANODecoderHead(decoder.get('context_dim', vit['embed_dim']), decoder.get('dim', 1024), decoder['depth'],
                           decoder['heads'], decoder['dim_head'], decoder['mlp_dim'], sizes.get('transformer_input', 'zero'),
                           sizes.get('ief_iters', 1), sizes.get('num_betas', 10), fused)
    return Network(backbone, head, sizes.get('focal_length', 5000), sizes.get('image_size', 256)).eval()


class Network(nn.Module):
    """Backbone, head, cameras and hand, with the fixture's focal length and crop size."""

    def __init__(self, backbone: nn.Module, head: nn.Module, focal: float, image_size: int):
        super().__init__()
        self.backbone, self.head, self.focal, self.image_size = backbone, head, float(focal), image_size
        self.hand = None

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """images (B, 3, S, S) normalised -> HaMeR's outputs by their name without 'out.'."""
        raw = self.head(self.backbone(middle_columns(images, self.backbone.img_size)))
        rotmats = rot6d_to_rotmat(raw['pose6d'].unflatten(-1, (-1, 6)))
        out = dict(raw, global_orient=rotmats[:, :1], hand_pose=rotmats[:, 1:],
                   cam_t=cam_t_from_cam(raw['cam'], self.focal, self.image_size),
                   focal_length=raw['cam'].new_full((len(images), 2), self.focal))
        if self.hand is not None:
            mesh = self.hand(out['global_orient'], out['hand_pose'], out['betas'])
            out.update(vertices=mesh.vertices, keypoints_3d=mesh.keypoints, keypoints_2d=perspective_projection(
                mesh.keypoints, out['cam_t'], out['focal_length'] / self.image_size))
        return out


class Recorder:
    """Keeps inputs and outputs of the network's parts under the fixture's names, one value per call."""

    def __init__(self, network: Network):
        self.kept: dict[str, list[Tensor]] = {}
        backbone, head = network.backbone, network.head
        self._output(backbone.patch_embed, 'bb.patch_embed')
        self._input(backbone.blocks[0], 'bb.tokens_in')
        for i, block in enumerate(backbone.blocks):
            self._output(block, f'bb.block{i}')
        self._output(backbone, 'bb.features')
        self._output(head.to_token, 'dec.token_embedding')
        for i, layer in enumerate(head.layers):
            name = f'dec.layer{i}'
            for norm, stage in ((layer.norm_sa, 'in'), (layer.norm_ca, 'after_sa'), (layer.norm_ff, 'after_ca')):
                self._input(norm, f'{name}.{stage}')
            for part, stage in ((layer.self_attn, 'sa_out'), (layer.cross_attn, 'ca_out'), (layer.ff, 'ff_out')):
                self._output(part, f'{name}.{stage}')
        self._input(head.to_pose, 'dec.token_out')
        for part, name in ((head.to_pose, 'decpose'), (head.to_betas, 'decshape'), (head.to_cam, 'deccam')):
            self._output(part, f'head.{name}')

    def keep(self, name: str, value: Tensor) -> None:
        """Record one value."""
        self.kept.setdefault(name, []).append(value.detach())

    def arrays(self) -> dict[str, Tensor]:
        """Values by name; '@0', '@1' say which iteration where there are several. The fixtures keep the token's axis."""
        named = {}
        for name, values in self.kept.items():
            for i, value in enumerate(values):
                value = value.unsqueeze(1) if name == 'dec.token_out' else value
                named[name if len(values) == 1 else f'{name}@{i}'] = value
        return named

    def _output(self, module: nn.Module, name: str) -> None:
        module.register_forward_hook(lambda module, given, result: self.keep(name, result))

    def _input(self, module: nn.Module, name: str) -> None:
        module.register_forward_pre_hook(lambda module, given: self.keep(name, given[0]))


def hamer_losses(out: dict[str, Tensor], gt: dict[str, Tensor]) -> dict[str, Tensor]:
    """HaMeR's terms, unweighted, and their weighted sum as `loss` and `total` (without the adversary)."""
    losses = dict(keypoints_2d=Keypoint2DLoss()(out['keypoints_2d'], gt['keypoints_2d']),
                  keypoints_3d=Keypoint3DLoss(root_needs_label=False)(out['keypoints_3d'], gt['keypoints_3d']))
    for name, loss in (('global_orient', RotationMatrixLoss()), ('hand_pose', RotationMatrixLoss()), ('betas', BetasLoss())):
        target = gt[f'mano_params.{name}']
        if gt[f'mano_params_is_axis_angle.{name}'].all():
            target = axis_angle_to_rotmat(target.unflatten(-1, (-1, 3)))
        losses[name] = loss(out[name], target.reshape(out[name].shape), gt[f'has_mano_params.{name}'])
    total = sum(LOSS_WEIGHTS[name] * value for name, value in losses.items())
    return {**{f'loss_{name}': value for name, value in losses.items()}, 'loss': total, 'total': total}


THINNED = r'_every(\d+)(?:st|nd|rd|th)_(channel|token|vertex|joint)'


def kept_part(name: str, value: Tensor) -> list[Tensor] | None:
    """What a suffix of the fixture says was kept of a large array; None for a suffix that is not known.

    `_every40th_channel` of a map (B, C, h, w) is [:, ::40], of tokens (B, N, C) [..., ::40]; `_every48th_token` is [:, ::48];
        base = max((known for known in values if re.match(re.escape(known) + '(_|$)', full_name)), key=len, default=None)
    """
    is_map = value.dim() == 4
    if name in ('_channel_mean', '_channel_std'):
        positions = value.double().flatten(2) if is_map else value.double().transpose(1, 2)  # (B, C, N)
        return [positions.mean(-1)] if name == '_channel_mean' else [positions.std(-1, correction=c) for c in (0, 1)]
    if not re.fullmatch(rf'({THINNED})+', name):
        return None
    for step, axis in re.findall(THINNED, name):
        dim = 1 if is_map or axis != 'channel' else value.dim() - 1
        value = value.index_select(dim, torch.arange(0, value.shape[dim], int(step)))
    return [value]


def _compare_all(values: dict[str, Tensor], arrays: dict[str, np.ndarray], noise: dict[str, float]) -> list[Row]:
    rows = []
    for name, expected in arrays.items():
        full_name = re.sub(r'(_every.*|_channel_.*)(@\d+)$', r'\2\1', name)  # the iteration belongs to the array
        base = max((known for known in values if re.match(re.escape(known) + r'(_|$)', full_name)), key=len, default=None)
        if base is None:
            continue
        candidates = [values[base]] if full_name == base else kept_part(full_name[len(base):], values[base])
        if candidates is None:
            continue
        atol, rtol = _tolerance(base, max(noise.get(base, 0.0), noise.get(name, 0.0)))
        found = [compare(name, value, expected, atol, rtol) for value in candidates]
        rows.append(min(found, key=lambda row: row.error))
    return rows


def _tolerance(name: str, noise: float) -> tuple[float, float]:
    """atol and rtol of an array; `noise` is the reference's own float32 error."""
    if name.startswith('loss.'):
        return 0.0, LOSS_RTOL
    stated = next(value for prefix, value in TOLERANCES if name.startswith(prefix))
    unnormalised = name.startswith('bb.') and name != 'bb.features'
    return max(stated, NOISE_FACTOR * noise), RESIDUAL_RTOL if unnormalised else 0.0


def _compare_norms(network: Network, norms: dict[str, float]) -> list[Row]:
    ours = {hamer_from_ours(name): parameter.grad for name, parameter in network.named_parameters()}
    return [compare(f'grad.{name}', 0.0 if ours[name] is None else ours[name].norm(), norm, rtol=GRADIENT_RTOL)
            for name, norm in norms.items() if name in ours]


def _images(arrays: dict[str, np.ndarray]) -> Tensor:
    """(B, 3, S, S) normalised."""
    if 'img' in arrays:
        return torch.from_numpy(arrays['img']).float()  # large fixtures keep halves
    if 'img_rgb_u8' not in arrays:
        raise ValueError('the fixture holds neither img nor img_rgb_u8: there is nothing to run the network on.')
    mean, std = (255 * torch.tensor(values).view(3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    return (torch.from_numpy(arrays['img_rgb_u8']).float() - mean) / std


def _hand_model(mano: str | None, io: str, needed: bool) -> nn.Module | None:
    """The hand of --mano, the one beside the fixture, or the one of this repository's tests; None where nothing needs it."""
    if not needed:
        return None
    beside = Path(io).with_name('mano_synth.npz')
    return MANOLayer(str(mano or (beside if beside.exists() else MADE_UP_HAND)))
