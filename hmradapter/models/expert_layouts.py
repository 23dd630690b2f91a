"""Key names of the released experts, and ours: the one place that knows both.

An expert is a module with `backbone` and `head`; its tensors are named `backbone.*` and `head.*` here.
Sources: the state dicts of hamer.ckpt and of smpler_x_h32.pth.tar.
"""
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor


class ExpertWeightsError(ValueError):
    """The weights do not fit the expert; the message names the first keys of each kind."""


@dataclass(frozen=True)
class Layout:
    """Names of one family of experts.

    title: whose. markers: beginnings of names that only this family has. names: (theirs, ours), longer parts before their
    beginnings; {i} is a number, and a name that ends in a dot goes on with weight, bias, running_mean, ...
    ignored: beginnings of what belongs to a checkpoint but not to the expert. prefix: taken off every name that has it.
    aliases: beginnings that older files write otherwise, as (written, meant).
    """
    title: str
    markers: tuple[str, ...]
    names: tuple[tuple[str, str], ...]
    ignored: tuple[str, ...] = ()
    prefix: str = ''
    aliases: tuple[tuple[str, str], ...] = ()

    def fits(self, names) -> bool:
        """Whether some of the names can only be of this family."""
        return any(name.removeprefix(self.prefix).startswith(self.markers) for name in names)

    def normal(self, name: str) -> str:
        """A name without prefix and aliases."""
        name = name.removeprefix(self.prefix)
        for written, meant in self.aliases:
            if name.startswith(written):
                return meant + name.removeprefix(written)
        return name

    def ours(self, name: str) -> str | None:
        """Our name of one of theirs, None for one that no such expert has."""
        return _rename(self._to_ours, self.normal(name))

    def theirs(self, name: str) -> str | None:
        """Their name of one of ours, without `prefix`."""
        return _rename(self._to_theirs, name)

    @cached_property
    def _to_ours(self) -> list:
        return [_rule(theirs, ours) for theirs, ours in self.names]

    @cached_property
    def _to_theirs(self) -> list:
        return [_rule(ours, theirs) for theirs, ours in self.names]


def _rule(name: str, other: str) -> tuple[re.Pattern, str]:
    """A pattern for a name, with whatever follows its last dot, and what to write for it."""
    rest = r'(weight|bias|running_mean|running_var|num_batches_tracked)' if name.endswith('.') else '()'
    return re.compile(re.escape(name).replace(r'\{i\}', r'(\d+)') + rest), other.replace('{i}', r'\1')


def _rename(rules, name: str) -> str | None:
    for pattern, other in rules:
        if match := pattern.fullmatch(name):
            return match.expand(other) + match.group(match.lastindex)
    return None


def _vit(theirs: str) -> tuple[tuple[str, str], ...]:
    """The ViT that both families have; `theirs` is what they call it."""
    return ((f'{theirs}.blocks.{{i}}.norm1.', 'backbone.blocks.{i}.norm_sa.'),
            (f'{theirs}.blocks.{{i}}.attn.qkv.', 'backbone.blocks.{i}.self_attn.to_qkv.'),
            (f'{theirs}.blocks.{{i}}.attn.proj.', 'backbone.blocks.{i}.self_attn.to_out.'),
            (f'{theirs}.blocks.{{i}}.norm2.', 'backbone.blocks.{i}.norm_ff.'),
            (f'{theirs}.blocks.{{i}}.mlp.fc1.', 'backbone.blocks.{i}.ff.0.'),
            (f'{theirs}.blocks.{{i}}.mlp.fc2.', 'backbone.blocks.{i}.ff.2.'),
            (f'{theirs}.pos_embed', 'backbone.pos_embed'),
            (f'{theirs}.patch_embed.proj.', 'backbone.patch_embed.proj.'),
            (f'{theirs}.last_norm.', 'backbone.last_norm.'))


HAMER = Layout(
    title='HaMeR',
    markers=('mano_head.',),
    # the training's adversary, the body model's buffers (licensed, and read from its own file), a flag
    ignored=('discriminator.', 'mano.', 'initialized'),
    names=(
        *_vit('backbone'),
        ('mano_head.transformer.transformer.layers.{i}.0.norm.', 'head.layers.{i}.norm_sa.'),
        ('mano_head.transformer.transformer.layers.{i}.0.fn.to_qkv.', 'head.layers.{i}.self_attn.to_qkv.'),
        ('mano_head.transformer.transformer.layers.{i}.0.fn.to_out.0.', 'head.layers.{i}.self_attn.to_out.'),
        ('mano_head.transformer.transformer.layers.{i}.1.norm.', 'head.layers.{i}.norm_ca.'),
        ('mano_head.transformer.transformer.layers.{i}.1.fn.to_q.', 'head.layers.{i}.cross_attn.to_q.'),
        ('mano_head.transformer.transformer.layers.{i}.1.fn.to_kv.', 'head.layers.{i}.cross_attn.to_kv.'),
        ('mano_head.transformer.transformer.layers.{i}.1.fn.to_out.0.', 'head.layers.{i}.cross_attn.to_out.'),
        ('mano_head.transformer.transformer.layers.{i}.2.norm.', 'head.layers.{i}.norm_ff.'),
        ('mano_head.transformer.transformer.layers.{i}.2.fn.net.0.', 'head.layers.{i}.ff.0.'),
        ('mano_head.transformer.transformer.layers.{i}.2.fn.net.3.', 'head.layers.{i}.ff.2.'),
        ('mano_head.transformer.pos_embedding', 'head.pos_embed'),
        ('mano_head.transformer.to_token_embedding.', 'head.to_token.'),
        ('mano_head.decpose.', 'head.to_pose.'),
        ('mano_head.decshape.', 'head.to_betas.'),
        ('mano_head.deccam.', 'head.to_cam.'),
        ('mano_head.init_hand_pose', 'head.init_pose6d'),
        ('mano_head.init_betas', 'head.init_betas'),
        ('mano_head.init_cam', 'head.init_cam')))

SMPLERX = Layout(
    title='SMPLer-X',
    markers=('encoder.', 'body_position_net.', 'body_regressor.', 'body_rotation_net.', 'box_net.', 'hand_roi_net.',
             'hand_regressor.', 'hand_rotation_net.'),
    prefix='module.',  # saved from a distributed run
    aliases=(('backbone.', 'encoder.'), ('body_rotation_net.', 'body_regressor.'), ('hand_rotation_net.', 'hand_regressor.')),
    ignored=('smplx_layer.',),
    names=(
        *_vit('encoder'),
        ('encoder.task_tokens', 'backbone.task_tokens'),
        ('body_position_net.conv.0.', 'head.body_position.conv.'),
        ('body_regressor.body_conv.0.', 'head.body_rotation.project.'),
        ('body_regressor.root_pose_out.0.', 'head.body_rotation.to_root.'),
        ('body_regressor.body_pose_out.0.', 'head.body_rotation.to_body.'),
        ('body_regressor.shape_out.0.', 'head.body_rotation.to_betas.'),
        ('body_regressor.cam_out.0.', 'head.body_rotation.to_cam.'),
        ('box_net.deconv.{i}.', 'head.boxes.upsample.{i}.'),
        ('box_net.bbox_center.0.', 'head.boxes.to_center.'),
        ('box_net.lhand_size.{i}.', 'head.boxes.to_size.left_hand.{i}.'),
        ('box_net.rhand_size.{i}.', 'head.boxes.to_size.right_hand.{i}.'),
        ('box_net.face_size.{i}.', 'head.boxes.to_size.face.{i}.'),
        ('hand_roi_net.deconv.{i}.', 'head.hand_roi.upsample.{i}.'),
        ('hand_roi_net.conv.0.', 'head.hand_roi.conv.'),
        ('hand_position_net.conv.0.', 'head.hand_position.conv.'),
        ('hand_regressor.hand_conv.{i}.', 'head.hand_rotation.project.{i}.'),
        ('hand_regressor.hand_pose_out.0.', 'head.hand_rotation.to_pose.'),
        ('face_regressor.expr_out.0.', 'head.face.to_expression.'),
        ('face_regressor.jaw_pose_out.0.', 'head.face.to_jaw.')))

LAYOUTS = (HAMER, SMPLERX)


def infer_sizes(tensors: Mapping[str, Tensor]) -> dict[str, dict]:
    """What the shapes of an expert's tensors (under our names) say of its sizes, as arguments of backbone and head.

    Heads do not show in shapes: `inner_dim` is heads x head_dim of HaMeR's decoder, and the ViT's heads are not given.
    `tokens` counts the patches of an image.

    Raises:
        ExpertWeightsError: a tensor that the sizes are read from is missing.
    """
    def shape(name: str, dims: int = 2) -> tuple[int, ...]:
        found = tuple(tensors[name].shape) if name in tensors else None
        if found is None or len(found) != dims:
            raise ExpertWeightsError(f'{name} has shape {found} (None: is missing), but an expert\'s has {dims} dimensions and '
                                     'tells its sizes. The file is cut short or holds another model.')
        return found

    def count(prefix: str) -> int:
        return len({name.removeprefix(prefix).split('.')[0] for name in tensors if name.startswith(prefix)})

    width, _, patch_size, _ = shape('backbone.patch_embed.proj.weight', 4)
    backbone = dict(embed_dim=width, depth=count('backbone.blocks.'), patch_size=patch_size,
                    tokens=shape('backbone.pos_embed', 3)[1] - 1, mlp_ratio=shape('backbone.blocks.0.ff.0.weight')[0] / width)
    if 'backbone.task_tokens' in tensors:
        return dict(backbone=dict(backbone, task_tokens=shape('backbone.task_tokens', 3)[1]),
                    head=dict(context_dim=shape('head.body_rotation.to_cam.weight')[1]))
    return dict(
        backbone=backbone,
        head=dict(context_dim=shape('head.layers.0.cross_attn.to_kv.weight')[1], dim=shape('head.pos_embed', 3)[-1],
                  depth=count('head.layers.'), inner_dim=shape('head.layers.0.self_attn.to_qkv.weight')[0] // 3,
                  has_to_out='head.layers.0.self_attn.to_out.weight' in tensors,
                  mlp_dim=shape('head.layers.0.ff.0.weight')[0], num_betas=shape('head.to_betas.weight')[0],
                  token='zero' if shape('head.to_token.weight')[1] == 1 else 'mean_shape'))
