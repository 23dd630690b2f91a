"""Make open data sets of whole people in the layouts of EHF and 3DPW, for evaluation.

    python tools/open_world/make_bodies.py --layout ehf --out data/open/ehf --frames 100
    python tools/open_world/make_bodies.py --layout 3dpw --out data/open/3dpw --train 2 --validation 1 --test 4 --frames 20

Interrupted runs go on where they stopped when the same command is given again. Needs tools/open_world/build_body_models.py.
Whole people in ARCTIC's layout: tools/open_world/make_arctic.py --domain bodies.
"""
import argparse
from pathlib import Path

from tqdm import tqdm

from hmradapter.body_models import OPEN_ROOT
from hmradapter.synthetic.ehf_scenes import EHFRecipe, generate_ehf
from hmradapter.synthetic.pw3d_scenes import PW3DRecipe, generate_pw3d
from hmradapter.synthetic.ray_mesh import pick_device
from hmradapter.synthetic.runs import summary

MAKERS = {'ehf': (EHFRecipe, generate_ehf), '3dpw': (PW3DRecipe, generate_pw3d)}


def parse_args(argv=None) -> argparse.Namespace:
    """The command line."""
    ehf, pw3d = EHFRecipe(), PW3DRecipe()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--layout', choices=tuple(MAKERS), required=True)
    parser.add_argument('--out', type=Path, required=True, help='folder of the dataset, its data_root')
    parser.add_argument('--frames', type=int,
                        help=f'ehf: images (default {ehf.frames}); 3dpw: of each sequence (default {pw3d.frames})')
    parser.add_argument('--subjects', type=int, help=f'ehf: people who take turns (default {ehf.subjects})')
    for split in ('train', 'validation', 'test'):
        parser.add_argument(f'--{split}', type=int, help=f'3dpw: sequences (default {getattr(pw3d, split)})')
    parser.add_argument('--size', type=int, nargs=2, metavar=('WIDTH', 'HEIGHT'),
                        help=f'3dpw: of upright images (default {pw3d.size[0]} {pw3d.size[1]}); EHF\'s camera is fixed')
    parser.add_argument('--seed', type=int)
    parser.add_argument('--workers', type=int, default=2, help='processes; the files do not depend on it')
    parser.add_argument('--device', default='cpu', help='cpu, cuda or auto; only cpu gives bit-identical files everywhere')
    parser.add_argument('--body-models', type=Path, default=OPEN_ROOT)
    args = parser.parse_args(argv)
    if args.size and (min(args.size) < 2 or any(side % 2 for side in args.size)):
        parser.error(f'--size is {args.size[0]} {args.size[1]}: give even numbers, rays are first cast for blocks of 2 x 2 '
                     'pixels.')
    return args


def main(argv=None) -> None:
    """Make what the command line asks for."""
    args = parse_args(argv)
    recipe_type, make = MAKERS[args.layout]
    names = ('frames', 'subjects', 'train', 'validation', 'test', 'size', 'seed')
    given = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    foreign = sorted(set(given) - set(recipe_type.__dataclass_fields__))
    if foreign:
        raise SystemExit(f'--layout {args.layout} does not take {", ".join("--" + name for name in foreign)}.')
    if 'size' in given:
        given['size'] = tuple(given['size'])
    recipe = recipe_type(**given, body_models=str(args.body_models))

    def progress(results, total):
        return tqdm(results, total=total, unit='image' if args.layout == 'ehf' else 'sequence', desc=str(args.out))

    made = make(recipe, args.out, args.workers, progress, pick_device(args.device))
    print(summary(args.out, made, args.workers))


if __name__ == '__main__':
    main()
