"""HaMeR's plain ViT: an image to a feature map. B crops, N tokens (h x w patches, row by row), C token width.
Source: HaMeR `backbones/vit.py`, after ViTPose-H."""
import torch
from torch import Tensor, nn

from hmradapter.registry import BACKBONES

from ..attention import attend, merge_heads, split_heads

NORM_EPS = 1e-6  # torch's default 1e-5 gives other features; the decoder does use 1e-5


class DropPath(nn.Module):
    """Stochastic depth (Huang et al. 2016): in training, drops a whole branch per sample and scales the kept ones up."""

    def __init__(self, rate: float):
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, C) -> (B, N, C)."""
        if not self.training or self.rate == 0:
            return x
        keep = x.new_empty(len(x), 1, 1).bernoulli_(1 - self.rate)
        return x * keep / (1 - self.rate)


class PatchEmbed(nn.Module):
    """Patches as tokens, (B, 3, H, W) -> (B, N, C). With padding 2 every window starts 2 px outside the image, and the last
    2 rows and columns are never read."""

    def __init__(self, patch_size: int, stride: int, padding: int, dim: int):
        super().__init__()
        self.proj = nn.Conv2d(3, dim, patch_size, stride, padding)

    def forward(self, images: Tensor) -> Tensor:
        """images (B, 3, H, W) -> tokens (B, N, C), row by row."""
        return self.proj(images).flatten(2).transpose(1, 2)


class ViTAttention(nn.Module):
    """Self-attention with biases, (B, N, C) -> (B, N, C)."""

    def __init__(self, dim: int, heads: int, qkv_bias: bool, fused: bool):
        super().__init__()
        self.heads, self.fused = heads, fused
        self.to_qkv = nn.Linear(dim, 3 * dim, bias=qkv_bias)
        self.to_out = nn.Linear(dim, dim)

    def forward(self, tokens: Tensor) -> Tensor:
        """tokens (B, N, C) give their update (B, N, C)."""
        q, k, v = (split_heads(x, self.heads) for x in self.to_qkv(tokens).chunk(3, dim=-1))
        return self.to_out(merge_heads(attend(q, k, v, self.fused)))


class ViTBlock(nn.Module):
    """Attention and MLP, each behind its norm."""

    def __init__(self, dim: int, heads: int, mlp_dim: int, drop_path: float, qkv_bias: bool, fused: bool):
        super().__init__()
        self.norm_sa = nn.LayerNorm(dim, eps=NORM_EPS)
        self.self_attn = ViTAttention(dim, heads, qkv_bias, fused)
        self.norm_ff = nn.LayerNorm(dim, eps=NORM_EPS)
        self.ff = nn.Sequential(nn.Linear(dim, mlp_dim), nn.GELU(), nn.Linear(mlp_dim, dim))
        self.drop_path = DropPath(drop_path)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, N, C) -> (B, N, C)."""
        tokens = tokens + self.drop_path(self.self_attn(self.norm_sa(tokens)))
        return tokens + self.drop_path(self.ff(self.norm_ff(tokens)))


@BACKBONES.register_module()
class HaMeRViT(nn.Module):
    """ViT whose defaults are HaMeR's ViT-H: 630,912,000 parameters, (B, 3, 256, 192) -> (B, 1280, 16, 12).

    Args:
        img_size: height and width in pixels; HaMeR feeds the middle 192 columns of a 256 x 256 crop.
        patch_size, stride, padding: of the patch convolution; `stride` is the patch size unless given.
        embed_dim: C.
        depth, num_heads, mlp_ratio: of the blocks.
        drop_path_rate: of the last block, growing linearly from 0 in the first; in training only.
        qkv_bias: biases of q, k and v.
        fused: torch's fused attention; False is the plain twin.
    """

    def __init__(self, img_size: tuple[int, int] = (256, 192), patch_size: int = 16, embed_dim: int = 1280, depth: int = 32,
                 num_heads: int = 16, mlp_ratio: float = 4, drop_path_rate: float = 0.55, padding: int = 2,
                 stride: int | None = None, qkv_bias: bool = True, fused: bool = True):
        super().__init__()
        if embed_dim % num_heads:
            raise ValueError(f'embed_dim is {embed_dim}; it must be a multiple of num_heads, which is {num_heads}.')
        stride = patch_size if stride is None else stride
        self.img_size = tuple(img_size)
        self.map_size = tuple((side + 2 * padding - patch_size) // stride + 1 for side in self.img_size)
        self.patch_embed = PatchEmbed(patch_size, stride, padding, embed_dim)
        # slot 0 belongs to a class token that does not exist; its code is added to every token
        self.pos_embed = nn.Parameter(torch.empty(1, 1 + self.map_size[0] * self.map_size[1], embed_dim))
        rates = torch.linspace(0, drop_path_rate, depth, device='cpu').tolist()
        self.blocks = nn.ModuleList(ViTBlock(embed_dim, num_heads, int(embed_dim * mlp_ratio), rate, qkv_bias, fused)
                                    for rate in rates)
        self.last_norm = nn.LayerNorm(embed_dim, eps=NORM_EPS)
        self._init_weights()

    def _init_weights(self) -> None:
        nn.init.normal_(self.pos_embed, std=0.5)  # as large as the patches' tokens: a small ViT must see where from the start
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, images: Tensor) -> Tensor:
        """images (B, 3, H, W), normalised -> features (B, C, h, w)."""
        return self.as_map(self.encode(self.embed(images)))

    def embed(self, images: Tensor) -> Tensor:
        """images (B, 3, H, W) -> patch tokens (B, N, C) with their position codes."""
        if images.shape[-2:] != self.img_size:
            raise ValueError(f'images are {tuple(images.shape[-2:])} (height, width), but this ViT has position codes for '
                             f'{self.img_size}: crop or resize them, or build it with that img_size.')
        return self.patch_embed(images) + self.pos_embed[:, 1:] + self.pos_embed[:, :1]

    def encode(self, tokens: Tensor) -> Tensor:
        """Tokens (B, N, C) through all blocks and the last norm; any number of them."""
        for block in self.blocks:
            tokens = block(tokens)
        return self.last_norm(tokens)

    def as_map(self, tokens: Tensor) -> Tensor:
        """Patch tokens (B, N, C) -> feature map (B, C, h, w)."""
        return tokens.transpose(1, 2).unflatten(2, self.map_size)


def middle_columns(images: Tensor, img_size: tuple[int, int]) -> Tensor:
    """The columns of square crops (B, 3, S, S) that the ViT sees, (B, 3, S, W): 32..223 of 256 for HaMeR."""
    margin = (images.shape[-1] - img_size[1]) // 2
    return images[..., margin:margin + img_size[1]]
