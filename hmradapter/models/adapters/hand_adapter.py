"""The adapter of the hand expert (HMR-Adapter 3.3): body pose guides the decoder of a frozen hand model.
B crops, T query tokens, J guidance joints, D token width, C context width."""
import torch
from torch import Tensor, nn

from hmradapter.geometry.rotations import rotmat_to_rot6d
from hmradapter.registry import ADAPTERS
from hmradapter.structures.joints import ARM_CHAIN, BODY_PARENTS

from ..heads.attention import CrossAttention, DecoderLayer, SelfAttention
from .adapter import Adapter

# Every sample reaches the network as a right hand, so the guidance reads the right chain.
GUIDANCE_JOINTS = {'arm': ARM_CHAIN['right'], 'body': tuple(range(len(BODY_PARENTS)))}


class GuidanceBlock(nn.Module):
    """SA' and CA' of one decoder layer (eq. 2), with norms of their own only when asked."""

    def __init__(self, dim: int, context_dim: int, heads: int, head_dim: int, own_norms: bool, zero_gate: bool):
        super().__init__()
        self.self_attn = SelfAttention(dim, heads, head_dim)
        self.cross_attn = CrossAttention(dim, context_dim, heads, head_dim)
        self.norm_sa = nn.LayerNorm(dim) if own_norms else None
        self.norm_ca = nn.LayerNorm(dim) if own_norms else None
        self.gate = nn.Parameter(torch.zeros(())) if zero_gate else None

    def forward(self, layer: DecoderLayer, tokens: Tensor, guidance: Tensor) -> Tensor:
        """tokens (B, T, D) before the layer's self-attention and guidance (B, J, C) to an update (B, T, D)."""
        norm_sa = self.norm_sa or layer.norm_sa
        norm_ca = self.norm_ca or layer.norm_ca
        queries = tokens + self.self_attn(norm_sa(tokens))
        update = self.cross_attn(norm_ca(queries), guidance)
        return update if self.gate is None else self.gate * update

    @torch.no_grad()
    def init_from(self, layer: DecoderLayer) -> None:
        """Start as a copy of the expert's layer, "to speed up the convergence" (3.3)."""
        for part in ('self_attn', 'cross_attn', 'norm_sa', 'norm_ca'):
            if getattr(self, part) is not None:
                getattr(self, part).load_state_dict(getattr(layer, part).state_dict())


class BodyPoseGuided(Adapter):
    """Reads a body's pose as one token per joint. Subclasses say what the decoder does with them.

    A missing body pose is a zero, not the identity (paper 3.3): J equal tokens, the projection's bias. `numbers` is how many
    `describe` gives for a token.

    Args:
        joints: 'arm' (8 joints, root to wrist; the paper) or 'body' (all 22; its table 5).
        joint_embedding: adds a learnt code per joint, without which the joints' order is invisible (not in the paper).
        context_dim: C; the estimator fills it in.
    """

    def __init__(self, joints: str = 'arm', joint_embedding: bool = False, context_dim: int = 1280):
        super().__init__()
        if joints not in GUIDANCE_JOINTS:
            raise ValueError(f'joints is {joints!r}; it must be one of {sorted(GUIDANCE_JOINTS)}.')
        self.joints = GUIDANCE_JOINTS[joints]
        self.project = nn.Linear(self.numbers, context_dim)
        self.joint_embedding = nn.Parameter(torch.zeros(len(self.joints), context_dim)) if joint_embedding else None

    def encode(self, body_pose: Tensor, has_body_pose: Tensor, seen: Tensor | None = None) -> Tensor:
        """body_pose (B, 22, 3, 3), root in the camera frame, and its flag (B,) to guidance tokens (B, J, C)."""
        numbers = self.describe(body_pose, seen)
        tokens = self.project(torch.where(has_body_pose[:, None, None] > 0, numbers, torch.zeros_like(numbers)))
        return tokens if self.joint_embedding is None else tokens + self.joint_embedding

    @property
    def numbers(self) -> int:
        return 6

    def describe(self, body_pose: Tensor, seen: Tensor | None = None) -> Tensor:
        """Each joint's own rotation, relative to its parent, as rot6d: (B, 22, 3, 3) -> (B, J, 6)."""
        return rotmat_to_rot6d(body_pose[:, list(self.joints)])


@ADAPTERS.register_module()
class HandAdapter(BodyPoseGuided):
    """Decoupled self- and cross-attention to the arm's pose, one block beside each decoder layer (eq. 3).

    The paper leaves open how SA' joins the residual stream; here Q' comes from tokens + SA'(norm(tokens)), as the expert's
    own query does, and CA' is added to CA in one step (docs/paper.md). At HaMeR's size 26,759,936 parameters learn, and with
    `own_norms` 26,784,512.

    Args:
        joints, joint_embedding: see `BodyPoseGuided`.
        own_norms: layer norms of the adapter's own, else the frozen layer's are shared.
        zero_gate: a learnt scalar per layer that starts at zero, so that training starts at the base (not in the paper).
        scale: multiplies every update; 0 gives the base bit for bit.
        dim, context_dim, depth, heads, head_dim: the decoder's sizes; the estimator fills them in.
    """

    def __init__(self, joints: str = 'arm', own_norms: bool = False, joint_embedding: bool = False, zero_gate: bool = False,
                 scale: float = 1.0, dim: int = 1024, context_dim: int = 1280, depth: int = 6, heads: int = 8,
                 head_dim: int = 64):
        super().__init__(joints, joint_embedding, context_dim)
        self.scale = scale
        self.blocks = nn.ModuleList(GuidanceBlock(dim, context_dim, heads, head_dim, own_norms, zero_gate)
                                    for _ in range(depth))

    def decode(self, index: int, layer: DecoderLayer, tokens: Tensor, context: Tensor, guidance: Tensor) -> Tensor:
        """The frozen layer, and the block's update added to its cross-attention."""
        return layer.feed(layer.attend(tokens, context) + self.scale * self.blocks[index](layer, tokens, guidance))

    def init_from(self, expert: nn.Module) -> None:
        """Every block starts as a copy of its layer."""
        for block, layer in zip(self.blocks, expert.head.layers, strict=True):
            block.init_from(layer)
