"""SMPLer-X's whole network and its losses: ours against network.npz and losses.npz, for any sizes that config.json says."""
import json
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hmradapter.models.backbones import SMPLerXViT
from hmradapter.models.estimators import WholeBodyExpert
from hmradapter.models.heads.box_head import BOX_PARTS
from hmradapter.models.losses import BoxL1Loss, MaskedL1Loss, move_hands_into_boxes, whole_body_terms
from hmradapter.structures.joints import HAND20_MCP, POSE53_PARTS

from .report import Row, compare
from .toy_bodies import toy_smplx

NETWORK_INPUTS = ('image_uint8',)
LOSS_INPUTS = ('target_*', 'meta_*')
NOISE_FACTOR, ATOL = 5, 2e-6  # README: 5 times what float32 differs from float64 in the reference itself, plus 2e-6
LOSS_RTOL = 1e-4
MOVED_ATOL = 1e-4             # cells; the boxes that hands are moved into are known to 1e-4 px only
SHORT = dict(zip(BOX_PARTS, ('lhand', 'rhand', 'face'), strict=True))
# Their name of a loss, ours, and the name of its weight among the settings.
LOSSES = (('smplx_pose', 'pose', 'smplx_pose_weight'), ('smplx_shape', 'betas', 'smplx_loss_weight'),
          ('smplx_expr', 'expression', None), ('joint_cam', 'joints_3d', 'smplx_kps_3d_weight'),
          ('smplx_joint_cam', 'part_joints_3d', 'smplx_kps_3d_weight'), ('lhand_bbox', 'left_hand_box', None),
          ('rhand_bbox', 'right_hand_box', None), ('face_bbox', 'face_box', None),
          ('joint_proj', 'joints_proj', 'smplx_kps_2d_weight'), ('joint_img', 'joints_img', 'net_kps_2d_weight'),
          ('smplx_joint_img', 'smplx_joints_img', 'net_kps_2d_weight'))


def frame_of(settings: dict) -> dict:
    """Fields of BodyFrame from the reference's settings."""
    factor = settings['input_img_shape'][0] // settings['input_body_shape'][0]
    return dict(img_size=tuple(settings['input_body_shape']), map_size=tuple(settings['output_hm_shape']),
                hand_map_size=tuple(settings['output_hand_hm_shape']), focal=tuple(settings['focal']),
                princpt=tuple(settings['princpt']), camera_size=settings['camera_3d_size'], crop_factor=factor,
                depth_range=settings['body_3d_size'])


def build_network(folder: Path) -> WholeBodyExpert:
    """The network of a fixture with its weights, on the toy body."""
    config = json.loads((folder / 'config.json').read_text())
    encoder, settings = dict(config['encoder']), config['settings']
    encoder['task_tokens'] = encoder.pop('task_tokens_num', 31)
    ratio = encoder.pop('ratio', 1)  # how far patches overlap; 1 in all released models, which gives a padding of 2
    encoder.update(stride=encoder['patch_size'] // ratio, padding=4 + 2 * (ratio // 2 - 1))
    head = dict(type='SMPLerXHead', context_dim=config.get('feat_dim', encoder['embed_dim']), frame=frame_of(settings),
                hand_roi=dict(type='HandRoI', upscale=settings.get('upscale', 4)))
    with warnings.catch_warnings():
        warnings.simplefilter('error')  # random weights must not go unnoticed here
        model = WholeBodyExpert(backbone=dict(_known_to_vit(encoder), type='SMPLerXViT'), head=head,
                                expert=str(folder / 'checkpoint.pth.tar'))
    model.body_model = toy_smplx()
    return model.eval()


def _known_to_vit(encoder: dict) -> dict:
    known = {'img_size', 'patch_size', 'embed_dim', 'depth', 'num_heads', 'mlp_ratio', 'drop_path_rate', 'qkv_bias', 'stride',
             'padding', 'task_tokens'}
    unknown = sorted(encoder.keys() - known - {'use_checkpoint', 'drop_rate', 'attn_drop_rate'})
    if unknown:
        raise ValueError(f'config.json has encoder settings {unknown}, which {SMPLerXViT.__name__} does not know.')
    return {name: tuple(value) if isinstance(value, list) else value for name, value in encoder.items() if name in known}


@torch.no_grad()
def check_network(folder: Path) -> list[Row]:
    """Every array of network.npz."""
    with np.load(folder / 'network.npz') as data:
        arrays = {name: data[name] for name in data.files}
    noise = json.loads((folder / 'tolerance.json').read_text())
    values = network_values(build_network(folder), torch.from_numpy(arrays['image_uint8']))
    rows = []
    for name, expected in arrays.items():
        if name in NETWORK_INPUTS:
            continue
        base = max((known for known in values if name == known or name.startswith(f'{known}_')), key=len, default=None)
        if base is None:
            continue
        tolerance = NOISE_FACTOR * noise.get(base, {}).get('max_abs_f32_minus_f64', 0.0) + ATOL
        rows.append(compare(name, kept_part(name.removeprefix(base), values[base]), expected, tolerance))
    return rows


def network_values(model: WholeBodyExpert, images: Tensor) -> dict[str, Tensor]:
    """images (B, 512, 384, 3) uint8 RGB to every value of the fixture under the reference's names."""
    kept: dict[str, Tensor] = {}

    def keep(module, name: str, read):
        module.register_forward_hook(lambda module, given, result: kept.__setitem__(name, read(given, result)))

    head = model.head
    keep(head.body_position, 'body_joint_hm', lambda given, result: result[0])
    keep(head.boxes, 'bbox_center_hm', lambda given, result: result[2])
    keep(head.hand_roi.conv, 'hand_roi', lambda given, result: given[0])
    keep(head.hand_roi, 'hand_feat', lambda given, result: result)
    keep(head.hand_rotation, 'hand_conv_feat', lambda given, result: result[1])
    inputs = model.data_preprocessor(dict(inputs=images.permute(0, 3, 1, 2)))['inputs']
    features, tokens = model.extract(inputs)
    raw = head(features, tokens)
    mcp = head.hand_rotation.sample(kept['hand_conv_feat'], raw['hand_joints'][:, HAND20_MCP, :2])
    values = dict(kept, img_feat=features, task_tokens=tokens, body_joint_img=raw['body_joints'], root_pose_6d=raw['root6d'],
                  body_pose_6d=raw['body6d'], shape=raw['betas'], cam_param=raw['cam'], expr=raw['expression'],
                  jaw_pose_6d=raw['jaw6d'], hand_joint_img_flipped=raw['hand_joints'], hand_pose_6d=raw['hand6d'],
                  mcp_feat=torch.cat(mcp.chunk(2), dim=1))
    for i, part in enumerate(BOX_PARTS):
        values.update({f'{SHORT[part]}_center': raw['box_centers'][:, i], f'{SHORT[part]}_size': raw['box_sizes'][:, i],
                       f'{SHORT[part]}_bbox_body': raw['boxes'][:, i]})
    values.update({f'out_{name}': value for name, value in outputs(model, model.decode(raw)).items()})
    return values


def outputs(model: WholeBodyExpert, pred: dict[str, Tensor]) -> dict[str, Tensor]:
    """A prediction as SMPLer-X's test forward gives it."""
    frame = model.head.frame
    hands = [torch.cat((frame.cells_from_box(joints[..., :2], box), joints[..., 2:]), dim=2)
             for joints, box in zip(pred['hand_joints'].unbind(1), pred['boxes'][:, :2].unbind(1), strict=True)]
    pose = {name: pred['pose'][:, part].flatten(1) for name, part in POSE53_PARTS.items()}
    return dict(joint_img=torch.cat((pred['body_joints'], *hands), dim=1), smplx_joint_proj=pred['keypoints_2d'],
                smplx_mesh_cam=pred['vertices'] + pred['cam_t'].unsqueeze(1), smplx_root_pose=pose['global_orient'],
                smplx_body_pose=pose['body_pose'], smplx_lhand_pose=pose['left_hand_pose'],
                smplx_rhand_pose=pose['right_hand_pose'], smplx_jaw_pose=pose['jaw_pose'], smplx_shape=pred['betas'],
                smplx_expr=pred['expression'], cam_trans=pred['cam_t'],
                **{f'{SHORT[part]}_bbox': pred['boxes'][:, i] * frame.crop_factor for i, part in enumerate(BOX_PARTS)})


def kept_part(suffix: str, value: Tensor) -> Tensor:
    """What a suffix says was kept: `_stride25` of a mesh's vertices, `_stride3` of a map's rows and columns, `_joints_0_7`."""
    if suffix.startswith('_stride'):
        step = int(suffix.removeprefix('_stride'))
        return value[..., ::step, ::step] if value.dim() == 4 else value[:, ::step]
    if suffix.startswith('_joints_'):
        return value[:, [int(joint) for joint in suffix.removeprefix('_joints_').split('_')]]
    if suffix:
        raise ValueError(f'an array of network.npz ends in {suffix!r}, which says nothing to this check.')
    return value


@torch.no_grad()
def check_losses(folder: Path) -> list[Row]:
    """Every array of losses.npz: unreduced terms with their weights, their means, and the moved 2D targets."""
    with np.load(folder / 'losses.npz') as data:
        arrays = {name: torch.from_numpy(np.asarray(data[name])) for name in data.files}
    with np.load(folder / 'network.npz') as data:
        images = torch.from_numpy(data['image_uint8'])
    settings = json.loads((folder / 'config.json').read_text())['settings']
    model = build_network(folder)
    frame = model.head.frame
    pred = model.regress(model.data_preprocessor(dict(inputs=images.permute(0, 3, 1, 2)))['inputs'])
    targets = loss_targets(arrays)
    terms = whole_body_terms(pred, targets, frame)
    rows, total = [], torch.zeros(())

    def check(name: str, value: Tensor, atol: float = 0.0, rtol: float = LOSS_RTOL) -> None:
        if name in arrays:  # the reference leaves a box's loss out where no sample of the batch has that box
            rows.append(compare(name, value.reshape(arrays[name].shape) if value.numel() == arrays[name].numel() else value,
                                arrays[name], atol, rtol))

    for theirs, ours, weight in LOSSES:
        scale = settings.get(weight, 1.0)
        loss = BoxL1Loss(scale) if theirs.endswith('bbox') else MaskedL1Loss(scale)
        found = terms[ours]()
        total = total + loss(*found)
        check(f'loss_{theirs}', scale * loss.entries(*found))
        check(f'mean_{theirs}', loss(*found))
    check('total', total)
    for name, joints in (('joint', 'heatmap_joints'), ('smplx_joint', 'smplx_heatmap_joints')):
        moved, seen = move_hands_into_boxes(targets[joints], targets[f'{joints}_seen'], pred['boxes'][:, :2], frame)
        check(f'moved_{name}_img', moved, MOVED_ATOL)
        check(f'moved_{name}_trunc', seen, rtol=0.0)
    return rows


def loss_targets(arrays: dict[str, Tensor]) -> dict[str, Tensor]:
    """Targets and flags of the fixture under our names."""
    target = {name.removeprefix('target_'): value for name, value in arrays.items() if name.startswith('target_')}
    meta = {name.removeprefix('meta_'): value for name, value in arrays.items() if name.startswith('meta_')}
    parts = tuple(SHORT.values())
    return dict(pose=target['smplx_pose'].unflatten(1, (-1, 3)), pose_valid=meta['smplx_pose_valid'].unflatten(1, (-1, 3)),
                betas=target['smplx_shape'], has_betas=meta['smplx_shape_valid'], expression=target['smplx_expr'],
                has_expression=meta['smplx_expr_valid'], has_depth=meta['is_3D'].unsqueeze(1).expand(-1, 137),
                keypoints_3d=target['joint_cam'],
                keypoints_3d_valid=meta['joint_valid'].squeeze(2), part_keypoints_3d=target['smplx_joint_cam'],
                part_keypoints_3d_valid=meta['smplx_joint_valid'].squeeze(2), heatmap_joints=target['joint_img'],
                heatmap_joints_seen=meta['joint_trunc'].squeeze(2), smplx_heatmap_joints=target['smplx_joint_img'],
                smplx_heatmap_joints_seen=meta['smplx_joint_trunc'].squeeze(2),
                box_centers=torch.stack([target[f'{part}_bbox_center'] for part in parts], dim=1),
                box_sizes=torch.stack([target[f'{part}_bbox_size'] for part in parts], dim=1),
                has_boxes=torch.stack([meta[f'{part}_bbox_valid'] for part in parts], dim=1))
