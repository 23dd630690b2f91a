"""Turn the released HaMeR checkpoint into a .safetensors file of this package's expert.

    python tools/model_converters/convert_hamer.py _DATA/hamer_ckpts/checkpoints/hamer.ckpt data/weights/hamer.safetensors

The checkpoint is a Lightning file that pickles its training config; nothing in it is executed. Backbone and decoder must be
complete: a missing, unexpected or mis-shaped key stops the conversion. What an expert does not need (discriminator, MANO
buffers, training state) is left behind and listed. A model of other widths than HaMeR's is judged by the sizes it shows.
"""
import argparse
import json
import sys
from collections import Counter
from pathlib import Path

import torch
from torch import nn

from hmradapter.fileio import sha256_file, write_safetensors
from hmradapter.models.backbones import HaMeRViT
from hmradapter.models.expert_weights import check_fit, expert_state, infer_sizes, read_expert, shapes_of
from hmradapter.models.heads import MANODecoderHead

FORMAT = 'hmradapter.expert/1'


def parse_args(argv=None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('checkpoint', help='hamer.ckpt')
    parser.add_argument('output', help='the .safetensors file to write')
    args = parser.parse_args(argv)
    if Path(args.output).suffix != '.safetensors':
        parser.error(f'output is {args.output}; its name must end in .safetensors')
    return args


def has_hamer_widths(sizes: dict) -> bool:
    """Whether a file claims to be the released model. Its depth is not inferred then, or a lost layer would go unnoticed."""
    return (sizes['backbone']['embed_dim'], sizes['head']['dim']) == (1280, 1024)


def expected_shapes(sizes: dict) -> dict[str, tuple[int, ...]]:
    """Shape of every tensor by name: HaMeR's, or that of an expert of the given sizes (see `infer_sizes`)."""
    expert = nn.Module()
    with torch.device('meta'):
        if has_hamer_widths(sizes):
            expert.backbone, expert.head = HaMeRViT(), MANODecoderHead()
        else:
            # shapes do not depend on how the patches lie in the image (one row of them), nor on heads, but for to_out
            vit, decoder = dict(sizes['backbone']), dict(sizes['head'])
            patch_size = vit['patch_size']
            expert.backbone = HaMeRViT(img_size=(patch_size, patch_size * vit.pop('tokens')), num_heads=1, padding=0, **vit)
            inner_dim = decoder.pop('inner_dim')
            heads, head_dim = (inner_dim, 1) if decoder.pop('has_to_out') else (1, inner_dim)
            expert.head = MANODecoderHead(heads=heads, head_dim=head_dim, **decoder)
    return shapes_of(expert_state(expert))


def convert(checkpoint: str, output: str) -> dict:
    """Convert and return the metadata that was written, with the ignored keys under 'ignored'."""
    tensors, ignored = read_expert(checkpoint)
    sizes = infer_sizes(tensors)
    check_fit(expected_shapes(sizes), shapes_of(tensors), checkpoint)
    tensors = {name: tensor.float() for name, tensor in tensors.items()}
    metadata = dict(format=FORMAT, sizes=json.dumps(sizes), source=Path(checkpoint).name, source_sha256=sha256_file(checkpoint))
    write_safetensors(output, tensors, metadata)
    count = sum(tensor.numel() for tensor in tensors.values())
    return dict(metadata, ignored=ignored, tensors=len(tensors), values=count, is_hamer=has_hamer_widths(sizes))


def main(argv=None) -> int:
    """Run the conversion and return the exit status."""
    args = parse_args(argv)
    try:
        done = convert(args.checkpoint, args.output)
    except (OSError, ValueError) as error:
        print(f'{type(error).__name__}: {error}', file=sys.stderr)
        return 1
    print(f'{args.output}: {done["tensors"]} tensors, {done["values"]:,} values')
    print(f'sizes: {done["sizes"]}' + ('' if done['is_hamer'] else ' (not those of the released HaMeR)'))
    groups = Counter(name.split('.')[0] for name in done['ignored'])
    print('ignored: ' + ', '.join(f'{name} ({count} keys)' for name, count in sorted(groups.items())))
    print('not read: whatever stands beside the state_dict (training config, optimizer, callbacks)')
    return 0


if __name__ == '__main__':
    sys.exit(main())
