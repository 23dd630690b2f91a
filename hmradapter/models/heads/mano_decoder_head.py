"""HaMeR's MANO decoder: one token reads the feature map and is read out as pose, shape and camera.
B crops, C channels of the feature map (h x w), D token width. Source: HaMeR `heads/mano_head.py`."""
import torch
from torch import Tensor, nn

from hmradapter.registry import HEADS

from .attention import DecoderLayer

NUM_ROTATIONS = 16  # the wrist's global rotation, then MANO's 15 joints
TOKENS = ('zero', 'mean_shape')
INITIAL_CAM = (0.9, 0.0, 0.0)  # (s, tx, ty): a hand that fills the crop, in its middle


@HEADS.register_module()
class MANODecoderHead(nn.Module):
    """Feature map to rot6d pose (B, 96), shape (B, betas) and weak camera (B, 3), as residuals to initial values.

    The initial values are buffers. Their defaults are the identity rotation, zero shape and `INITIAL_CAM`; a HaMeR checkpoint
    brings its own, whose global rotation is degenerate on purpose (the readout compensates).

    Args:
        context_dim: C.
        dim, depth, heads, head_dim, mlp_dim: sizes of the decoder.
        token: what the token says at the start of each iteration: 'zero' nothing (HaMeR), or 'mean_shape' the estimate so far.
        ief_iters: iterations of error feedback, each starting from the last one's estimate.
        num_betas: shape coefficients.
        fused: torch's fused attention; False is the plain twin.
    """

    def __init__(self, context_dim: int = 1280, dim: int = 1024, depth: int = 6, heads: int = 8, head_dim: int = 64,
                 mlp_dim: int = 1024, token: str = 'zero', ief_iters: int = 1, num_betas: int = 10, fused: bool = True):
        super().__init__()
        if token not in TOKENS:
            raise ValueError(f'token is {token!r}; it must be one of {TOKENS}.')
        if ief_iters < 1:
            raise ValueError(f'ief_iters is {ief_iters}; at least one iteration gives an estimate.')
        self.sizes = dict(dim=dim, context_dim=context_dim, depth=depth, heads=heads, head_dim=head_dim)
        self.token, self.ief_iters = token, ief_iters
        pose_dim = 6 * NUM_ROTATIONS
        self.to_token = nn.Linear(pose_dim + num_betas + 3 if token == 'mean_shape' else 1, dim)
        self.pos_embed = nn.Parameter(torch.randn(1, 1, dim))
        self.layers = nn.ModuleList(DecoderLayer(dim, context_dim, heads, head_dim, mlp_dim, fused) for _ in range(depth))
        self.to_pose = nn.Linear(dim, pose_dim)
        self.to_betas = nn.Linear(dim, num_betas)
        self.to_cam = nn.Linear(dim, 3)
        self.register_buffer('init_pose6d', torch.tensor((1.0, 0, 0, 0, 1, 0)).repeat(1, NUM_ROTATIONS))
        self.register_buffer('init_betas', torch.zeros(1, num_betas))
        self.register_buffer('init_cam', torch.tensor([INITIAL_CAM]))

    def forward(self, features: Tensor, adapter: nn.Module | None = None, guidance: Tensor | None = None) -> dict[str, Tensor]:
        """features (B, C, h, w) -> pose6d (B, 96), wrist first; betas (B, 10); cam (B, 3) = (s, tx, ty).

        `adapter.decode(i, layer, tokens, context, guidance)` stands in for layer i; `guidance` is what `adapter.encode`
        made."""
        context = features.flatten(2).transpose(1, 2)  # (B, h w, C), row by row, no position code
        batch = len(features)
        pose, betas, cam = (init.expand(batch, -1) for init in (self.init_pose6d, self.init_betas, self.init_cam))
        for _ in range(self.ief_iters):
            token = self._decode(self._initial_token(pose, betas, cam), context, adapter, guidance).squeeze(1)
            pose, betas, cam = pose + self.to_pose(token), betas + self.to_betas(token), cam + self.to_cam(token)
        return dict(pose6d=pose, betas=betas, cam=cam)

    def _initial_token(self, pose: Tensor, betas: Tensor, cam: Tensor) -> Tensor:
        """(B, 1, D) before decoding."""
        says = torch.cat((pose, betas, cam), dim=-1) if self.token == 'mean_shape' else torch.zeros_like(cam[:, :1])
        return self.to_token(says.unsqueeze(1)) + self.pos_embed

    def _decode(self, tokens: Tensor, context: Tensor, adapter: nn.Module | None, guidance: Tensor | None) -> Tensor:
        """tokens (B, 1, D) through all layers; no norm after the last."""
        for index, layer in enumerate(self.layers):
            if adapter is None:
                tokens = layer(tokens, context)
            else:
                tokens = adapter.decode(index, layer, tokens, context, guidance)
        return tokens
