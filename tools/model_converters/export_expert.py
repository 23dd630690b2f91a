"""Cut the expert (backbone and head) out of a training checkpoint, as the .safetensors file that `model.expert` names.

    python tools/model_converters/export_expert.py configs/open/hand_expert_open.py work_dirs/hand_expert_open/iter_8000.pth \\
        data/weights/open/hand_expert.safetensors --note 'command=python tools/train.py configs/open/hand_expert_open.py'

Beside it goes a card, OUT.json: config, iteration, seed, versions and the notes.
"""
import argparse
import json
import platform
from pathlib import Path

import torch

from hmradapter.engine.config import load_config
from hmradapter.fileio import atomic_write, load_torch, sha256_file, write_safetensors
from hmradapter.models.expert_weights import EXPERT_FORMAT, expert_state
from hmradapter.registry import MODELS
from hmradapter.version import __version__


def parse_args(argv=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config it was trained with')
    parser.add_argument('checkpoint', type=Path, help='full checkpoint (.pth)')
    parser.add_argument('output', type=Path, help='the .safetensors file to write')
    parser.add_argument('--note', action='append', default=[], metavar='KEY=TEXT', help='entry of the card; may be repeated')
    args = parser.parse_args(argv)
    if args.output.suffix != '.safetensors':
        parser.error(f'output is {args.output}; its name must end in .safetensors')
    if any('=' not in note for note in args.note):
        parser.error(f'notes are {args.note}; each must read KEY=TEXT')
    return args


def main(argv=None) -> None:
    args = parse_args(argv)
    config = load_config(args.config)
    model = MODELS.build(dict(config.model, expert=None, adapter=None, body_model=None))
    checkpoint = load_torch(args.checkpoint)
    model.load_state_dict(checkpoint['state_dict'])
    state = {name: tensor.contiguous() for name, tensor in expert_state(model).items()}
    args.output.parent.mkdir(parents=True, exist_ok=True)
    write_safetensors(args.output, state, metadata=dict(format=EXPERT_FORMAT))
    card = dict(format=EXPERT_FORMAT, sha256=sha256_file(args.output), parameters=sum(p.numel() for p in model.parameters()),
                iteration=checkpoint['meta']['iter'], seed=checkpoint['meta']['seed'],
                versions=dict(hmradapter=__version__, torch=torch.__version__, python=platform.python_version()),
                **dict(note.split('=', 1) for note in args.note), config=config.pretty_text)
    with atomic_write(args.output.with_suffix('.json'), 'w') as file:
        json.dump(card, file, indent=1)
    print(f'{args.output}: {len(state)} tensors, {args.output.stat().st_size / 1e6:.1f} MB')


if __name__ == '__main__':
    main()
