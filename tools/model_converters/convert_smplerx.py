"""Turn a released SMPLer-X checkpoint into a .safetensors file of this package's whole-body expert.

    python tools/model_converters/convert_smplerx.py smpler_x_h32.pth.tar data/weights/smplerx.safetensors

S, B, L and H are known by their width. OSX without its decoder has the same parts and keys, so it is read as well. Nothing that
is pickled in the file runs. Encoder and heads must be complete: a missing, unexpected or mis-shaped key stops the conversion,
which names it. A model of another width is judged by the sizes it shows. A body model's buffers are left behind and listed.
"""
import sys

from released_experts import Family, main, parts, vit_sizes
from torch import nn

from hmradapter.models.backbones import SMPLerXViT
from hmradapter.models.expert_layouts import SMPLERX
from hmradapter.models.heads import SMPLerXHead

RELEASED = {384: ('SMPLer-X-S', 12), 768: ('SMPLer-X-B', 12), 1024: ('SMPLer-X-L', 24), 1280: ('SMPLer-X-H', 32)}


def released(sizes: dict) -> str | None:
    """'SMPLer-X-H' and so on, by the width."""
    return RELEASED.get(sizes['backbone']['embed_dim'], (None,))[0]


def build(sizes: dict) -> nn.Module:
    """The released model of that width, or an expert of the given sizes."""
    width = sizes['backbone']['embed_dim']
    if width in RELEASED:
        return parts(SMPLerXViT(embed_dim=width, depth=RELEASED[width][1], num_heads=1), SMPLerXHead(context_dim=width))
    return parts(SMPLerXViT(**vit_sizes(sizes['backbone'])), SMPLerXHead(**sizes['head']))


FAMILY = Family(SMPLERX, build, released, 'whatever stands beside the network (epoch, optimizer)')

if __name__ == '__main__':
    sys.exit(main(FAMILY, __doc__, 'smpler_x_h32.pth.tar'))
