"""Turn the released HaMeR checkpoint into a .safetensors file of this package's expert.

    python tools/model_converters/convert_hamer.py _DATA/hamer_ckpts/checkpoints/hamer.ckpt data/weights/hamer.safetensors

The checkpoint is a Lightning file that pickles its training config; nothing in it is executed. Backbone and decoder must be
complete: a missing, unexpected or mis-shaped key stops the conversion. What an expert does not need (discriminator, MANO
buffers, training state) is left behind and listed. A model of other widths than HaMeR's is judged by the sizes it shows.
"""
import sys

from released_experts import Family, main, parts, vit_sizes
from torch import nn

from hmradapter.models.backbones import HaMeRViT
from hmradapter.models.expert_layouts import HAMER
from hmradapter.models.heads import MANODecoderHead


def released(sizes: dict) -> str | None:
    """'HaMeR' for its widths."""
    return 'HaMeR' if (sizes['backbone']['embed_dim'], sizes['head']['dim']) == (1280, 1024) else None


def build(sizes: dict) -> nn.Module:
    """HaMeR, or an expert of the given sizes."""
    if released(sizes):
        return parts(HaMeRViT(), MANODecoderHead())
    decoder = dict(sizes['head'])
    inner_dim = decoder.pop('inner_dim')  # heads do not show in shapes, but for to_out
    heads, head_dim = (inner_dim, 1) if decoder.pop('has_to_out') else (1, inner_dim)
    return parts(HaMeRViT(**vit_sizes(sizes['backbone'])), MANODecoderHead(heads=heads, head_dim=head_dim, **decoder))


FAMILY = Family(HAMER, build, released, 'whatever stands beside the state_dict (training config, optimizer, callbacks)')

if __name__ == '__main__':
    sys.exit(main(FAMILY, __doc__, 'hamer.ckpt'))
