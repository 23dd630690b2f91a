"""Make a short film of a held-out person who handles an object, for tools/demo.py.

    python tools/open_world/make_film.py outputs/film.mp4 --seconds 4
    python tools/demo.py outputs/film.mp4 --out-dir outputs/demo

The person is one of the subjects that the open ARCTIC holds out (see make_arctic.py), the movement is in none of its sequences.
"""
import argparse
from pathlib import Path

from tqdm import tqdm

from hmradapter.body_models import OPEN_ROOT
from hmradapter.synthetic.clip import film
from hmradapter.synthetic.generator import Recipe
from hmradapter.visualization.video import VideoWriter


def parse_args(argv=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('output', type=Path, help='the .mp4 to write')
    parser.add_argument('--subject', default='s05', help='s05, s11, s12, ...')
    parser.add_argument('--seconds', type=float, default=4.0)
    parser.add_argument('--fps', type=float, default=15.0)
    parser.add_argument('--view', type=int, default=1, metavar='1..8')
    parser.add_argument('--size', type=int, nargs=2, default=(480, 360), metavar=('WIDTH', 'HEIGHT'))
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--body-models', type=Path, default=OPEN_ROOT)
    return parser.parse_args(argv)


def main(argv=None) -> None:
    args = parse_args(argv)
    recipe = Recipe(size=tuple(args.size), seed=args.seed, body_models=str(args.body_models))
    frames = film(recipe, args.subject, args.seconds, args.fps, args.view)
    with VideoWriter(args.output, args.fps) as video:
        for frame in tqdm(frames, total=round(args.seconds * args.fps), unit='frame', desc=str(args.output)):
            video.write(frame)


if __name__ == '__main__':
    main()
