"""The adapter of the hand expert (HMR-Adapter 3.3): body pose guides the decoder of a frozen hand model.
B crops, T query tokens, J guidance joints, D token width, C context width."""
import torch
from torch import Tensor, nn

from hmradapter.geometry.rotations import rotmat_to_rot6d
from hmradapter.registry import ADAPTERS
from hmradapter.structures.joints import ARM_CHAIN, BODY_PARENTS

from ..heads.attention import CrossAttention, SelfAttention

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

    def forward(self, layer: nn.Module, tokens: Tensor, guidance: Tensor) -> Tensor:
        """tokens (B, T, D) before the layer's self-attention and guidance (B, J, C) to an update (B, T, D)."""
        norm_sa = self.norm_sa or layer.norm_sa
        norm_ca = self.norm_ca or layer.norm_ca
        queries = tokens + self.self_attn(norm_sa(tokens))
        update = self.cross_attn(norm_ca(queries), guidance)
        return update if self.gate is None else self.gate * update


@ADAPTERS.register_module()
class HandAdapter(nn.Module):
    """Decoupled self- and cross-attention to the arm's pose, one block beside each decoder layer (eq. 3).

    The paper leaves open how SA' joins the residual stream; here Q' comes from tokens + SA'(norm(tokens)), as the expert's
    own query does, and CA' is added to CA in one step (docs/paper.md). At HaMeR's size 26,759,936 parameters learn, and with
    `own_norms` 26,784,512.

    Args:
        joints: 'arm' (8 joints, root to wrist; the paper) or 'body' (all 22; its table 5).
        own_norms: layer norms of the adapter's own, else the frozen layer's are shared.
        joint_embedding: adds a learnt code per joint, without which the joints' order is invisible (not in the paper).
        zero_gate: a learnt scalar per layer that starts at zero, so that training starts at the base (not in the paper).
        scale: multiplies every update; 0 gives the base bit for bit.
        dim, context_dim, depth, heads, head_dim: the decoder's sizes; the estimator fills them in.
    """

    def __init__(self, joints: str = 'arm', own_norms: bool = False, joint_embedding: bool = False, zero_gate: bool = False,
                 scale: float = 1.0, dim: int = 1024, context_dim: int = 1280, depth: int = 6, heads: int = 8,
                 head_dim: int = 64):
        super().__init__()
        if joints not in GUIDANCE_JOINTS:
            raise ValueError(f'joints is {joints!r}; it must be one of {sorted(GUIDANCE_JOINTS)}.')
        self.joints = GUIDANCE_JOINTS[joints]
        self.scale = scale
        self.project = nn.Linear(6, context_dim)
        self.joint_embedding = nn.Parameter(torch.zeros(len(self.joints), context_dim)) if joint_embedding else None
        self.blocks = nn.ModuleList(GuidanceBlock(dim, context_dim, heads, head_dim, own_norms, zero_gate)
                                    for _ in range(depth))

    def encode(self, body_pose: Tensor, has_body_pose: Tensor) -> Tensor:
        """body_pose (B, 22, 3, 3), root in the camera frame, and its flag (B,) to guidance tokens (B, J, C).

        A missing body pose is a zero rot6d, not the identity (paper 3.3): J equal keys, the projection's bias.
        """
        rot6d = rotmat_to_rot6d(body_pose[:, list(self.joints)])                    # (B, J, 6)
        tokens = self.project(torch.where(has_body_pose[:, None, None] > 0, rot6d, torch.zeros_like(rot6d)))
        return tokens if self.joint_embedding is None else tokens + self.joint_embedding

    def update(self, index: int, layer: nn.Module, tokens: Tensor, guidance: Tensor) -> Tensor:
        """What decoder layer `index` adds to its cross-attention: (B, T, D)."""
        return self.scale * self.blocks[index](layer, tokens, guidance)

    @torch.no_grad()
    def init_from(self, head: nn.Module) -> None:
        """Start SA' and CA' (and own norms) as copies of the expert's, "to speed up the convergence" (3.3)."""
        for block, layer in zip(self.blocks, head.layers, strict=True):
            for part in ('self_attn', 'cross_attn', 'norm_sa', 'norm_ca'):
                if getattr(block, part) is not None:
                    getattr(block, part).load_state_dict(getattr(layer, part).state_dict())
