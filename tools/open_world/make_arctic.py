"""Make an open ARCTIC: rendered people whose hands handle objects, in the layout of ARCTIC's release.

    python tools/open_world/make_arctic.py --out data/open/arctic --domain target --subjects 8 --sequences 8 --frames 10
    python tools/open_world/make_arctic.py --out data/open/arctic_source --domain source --subjects 24 --sequences 8 --frames 20
    python tools/open_world/make_arctic.py --out data/open/arctic_bodies --domain bodies --subjects 40 --sequences 4 --frames 24

Interrupted runs go on where they stopped when the same command is given again. Needs tools/open_world/build_body_models.py.
"""
import argparse
from pathlib import Path

from tqdm import tqdm

from hmradapter.body_models import OPEN_ROOT
from hmradapter.synthetic.generator import DOMAINS, Recipe, generate
from hmradapter.synthetic.ray_mesh import pick_device
from hmradapter.synthetic.runs import summary


def parse_args() -> argparse.Namespace:
    default = Recipe()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--out', type=Path, required=True, help='folder of the dataset, the data_root of ArcticSource')
    parser.add_argument('--domain', choices=DOMAINS, default=default.domain,
                        help='target: hands at objects; source: the same people and motions, nothing in their hands; '
                             'bodies: whole people in many poses; bodies_objects: whole people with hands at objects')
    parser.add_argument('--subjects', type=int, default=default.subjects, help='to train on')
    parser.add_argument('--val-subjects', type=int, default=default.val_subjects, help='held out: s05, s11, s12, ...')
    parser.add_argument('--sequences', type=int, default=default.sequences, help='of each subject')
    parser.add_argument('--val-sequences', type=int, help='of each held-out subject (default: as --sequences)')
    parser.add_argument('--frames', type=int, default=default.frames, help='of each sequence, 5 a second')
    parser.add_argument('--views', type=int, nargs='+', default=default.views, metavar='1..8')
    parser.add_argument('--size', type=int, nargs=2, default=default.size, metavar=('WIDTH', 'HEIGHT'))
    parser.add_argument('--seed', type=int, default=default.seed)
    parser.add_argument('--workers', type=int, default=2, help='processes; the files do not depend on it')
    parser.add_argument('--device', default='cpu', help='cpu, cuda or auto; only cpu gives bit-identical files everywhere')
    parser.add_argument('--body-models', type=Path, default=OPEN_ROOT)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    recipe = Recipe(domain=args.domain, subjects=args.subjects, val_subjects=args.val_subjects, sequences=args.sequences,
                    val_sequences=args.sequences if args.val_sequences is None else args.val_sequences, frames=args.frames,
                    views=tuple(args.views), size=tuple(args.size), seed=args.seed, body_models=str(args.body_models))

    def progress(results, total):
        return tqdm(results, total=total, unit='sequence', desc=str(args.out))

    made = generate(recipe, args.out, args.workers, progress, pick_device(args.device))
    print(summary(args.out, made, args.workers))


if __name__ == '__main__':
    main()
