"""SMPLer-X's ViT: HaMeR's, and task tokens that go through it with the patches. B crops, N patches, T task tokens, C width.
Source: SMPLer-X `main/transformer_utils/mmpose/models/backbones/vit.py`, after ViTPose."""
import torch
from torch import Tensor, nn

from hmradapter.registry import BACKBONES

from .hamer_vit import HaMeRViT


@BACKBONES.register_module()
class SMPLerXViT(HaMeRViT):
    """(B, 3, 256, 192) -> feature map (B, C, 16, 12) and task tokens (B, T, C).

    | size | embed_dim | depth | num_heads | drop_path_rate | parameters |
    |---|---|---|---|---|---|
    | S | 384 | 12 | 12 | 0.1 | 21,675,648 |
    | B | 768 | 12 | 12 | 0.3 | 85,818,624 |
    | L | 1024 | 24 | 16 | 0.5 | 303,328,256 |
    | H | 1280 | 32 | 16 | 0.55 | 630,951,680 |

    Differs from `HaMeRViT`, whose arguments it has: task tokens stand before the patches and get no position code.

    Args:
        task_tokens: T. Roles: 0 shape, 1 camera, 2 expression, 3 jaw, 4 and 5 hands (nobody reads them), 6-30 body joints.
    """

    def __init__(self, *args, task_tokens: int = 31, **kwargs):
        super().__init__(*args, **kwargs)
        self.task_tokens = nn.Parameter(torch.empty(1, task_tokens, self.pos_embed.shape[-1]))
        nn.init.trunc_normal_(self.task_tokens, std=0.02)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """images (B, 3, H, W) of 0..1, not normalised any further -> features (B, C, h, w), task tokens (B, T, C)."""
        tokens = torch.cat((self.task_tokens.expand(len(images), -1, -1), self.embed(images)), dim=1)
        count = self.task_tokens.shape[1]
        tasks, patches = self.encode(tokens).split((count, tokens.shape[1] - count), dim=1)
        return self.as_map(patches), tasks
