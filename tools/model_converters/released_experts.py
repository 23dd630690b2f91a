"""What the converters of released experts share: reading, judging, writing and telling."""
import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn

from hmradapter.fileio import sha256_file, write_safetensors
from hmradapter.models.expert_layouts import Layout
from hmradapter.models.expert_weights import (
    EXPERT_FORMAT,
    ExpertWeightsError,
    check_fit,
    expert_state,
    infer_sizes,
    read_expert,
    shapes_of,
)


class Family(NamedTuple):
    """A family of released experts.

    layout: its names. build: sizes (see `infer_sizes`) -> an expert of these sizes, its parts `backbone` and `head`; where the
    sizes are those of a released model, it is built as released, or a lost layer would go unnoticed. released: sizes -> the
    released model's name, or None. left_behind: what stands beside the weights in a released file and is never read.
    """
    layout: Layout
    build: Callable[[dict], nn.Module]
    released: Callable[[dict], str | None]
    left_behind: str


def expected_shapes(family: Family, sizes: dict) -> dict[str, tuple[int, ...]]:
    """Shape of every tensor by name of an expert of the given sizes; costs no memory."""
    with torch.device('meta'):
        return shapes_of(expert_state(family.build(sizes)))


def parts(backbone: nn.Module, head: nn.Module) -> nn.Module:
    """An expert without the road between its parts."""
    expert = nn.Module()
    expert.backbone, expert.head = backbone, head
    return expert


def vit_sizes(backbone: dict) -> dict:
    """Arguments of a ViT whose tensors have the inferred shapes: how its patches lie in the image (here in one row) and how
    many heads it has does not show in them."""
    sizes = dict(backbone)
    patch_size = sizes['patch_size']
    return dict(sizes, img_size=(patch_size, patch_size * sizes.pop('tokens')), num_heads=1, padding=0)


def convert(family: Family, checkpoint: str, output: str) -> dict:
    """Convert and return the metadata that was written, with the ignored keys under 'ignored'."""
    tensors, ignored = read_expert(checkpoint)
    foreign = sorted(name for name in tensors if family.layout.theirs(name) is None)
    if foreign:
        raise ExpertWeightsError(f'{checkpoint} is an expert, but not {family.layout.title}: under the names of this package '
                                 f'it holds {", ".join(foreign[:4])}, ... Take the converter of its family.')
    sizes = infer_sizes(tensors)
    check_fit(expected_shapes(family, sizes), shapes_of(tensors), checkpoint)
    tensors = {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}
    metadata = dict(format=EXPERT_FORMAT, sizes=json.dumps(sizes), source=Path(checkpoint).name,
                    source_sha256=sha256_file(checkpoint))
    write_safetensors(output, tensors, metadata)
    count = sum(tensor.numel() for tensor in tensors.values())
    return dict(metadata, ignored=ignored, tensors=len(tensors), values=count, released=family.released(sizes))


def main(family: Family, description: str, example: str, argv=None) -> int:
    """Run a conversion from the command line and return the exit status."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('checkpoint', help=example)
    parser.add_argument('output', help='the .safetensors file to write')
    args = parser.parse_args(argv)
    if Path(args.output).suffix != '.safetensors':
        parser.error(f'output is {args.output}; its name must end in .safetensors')
    try:
        done = convert(family, args.checkpoint, args.output)
    except (OSError, ValueError) as error:
        print(f'{type(error).__name__}: {error}', file=sys.stderr)
        return 1
    print(f'{args.output}: {done["tensors"]} tensors, {done["values"]:,} values')
    print(f'sizes: {done["sizes"]} '
          f'({done["released"] or f"not those of a released {family.layout.title}"})')
    groups = Counter(name.split('.')[0] for name in done['ignored'])
    print('ignored: ' + (', '.join(f'{name} ({count} keys)' for name, count in sorted(groups.items())) or 'nothing'))
    print(f'not read: {family.left_behind}')
    return 0
