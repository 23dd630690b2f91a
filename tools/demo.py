"""Hands in pictures: meshes over the image, a side view, OBJ and GLB files, MANO parameters, one web page.

    python tools/demo.py photo.jpg --bboxes 120,80,260,240 --hand right
    python tools/demo.py folder/ --bboxes boxes.json --adapter adapter.safetensors --compare-base --out-dir outputs/demo

boxes.json: {"photo.jpg": [{"xyxy": [120, 80, 260, 240], "hand": "right", "body_pose": [[...22 axis-angles...]]}, ...]}
("hand" and "body_pose" may be absent). Without --bboxes the whole image is taken as the box of one hand.
Exit status: 0 all images done, 1 some could not be used (each is named, the others are done), 2 nothing could start.
Run again, it only does what is missing or changed. What the files mean: docs/outputs.md.
"""
import argparse
import sys
from pathlib import Path

import numpy as np
from mmengine.config import DictAction
from tqdm import tqdm

from hmradapter.apis.hand_run import HandRun, HandSettings
from hmradapter.apis.inputs import (
    HAND_CHOICES,
    HandRequest,
    InputError,
    list_images,
    read_body_pose,
    read_requests,
)

DEFAULT_CONFIG = Path(__file__).resolve().parents[1] / 'configs' / 'open' / 'hand_adapter_open.py'


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('input', help='an image or a folder of images')
    parser.add_argument('--config', default=str(DEFAULT_CONFIG), help='config of the model (default: the open hand adapter)')
    parser.add_argument('--checkpoint', metavar='FILE', help="the expert's weights, instead of those that the config names")
    parser.add_argument('--adapter', metavar='FILE', help="adapter.safetensors; without it, or with 'none', the expert alone")
    parser.add_argument('--bboxes', help='a .json file (see above), or one box x0,y0,x1,y1 in pixels for every image; '
                        'a box that begins with a minus needs --bboxes=-5,0,90,80')
    parser.add_argument('--hand', choices=HAND_CHOICES, default='auto', help='side of hands whose side is not given')
    parser.add_argument('--body-pose', metavar='FILE', help='guiding body for hands without their own: .json, .npy or .npz '
                        'with (22, 3) axis-angle, SMPL-X order, pelvis in the camera frame')
    parser.add_argument('--out-dir', default='outputs/demo', help='where everything is written')
    parser.add_argument('--device', default='auto', help="'auto', 'cpu', 'cuda:0', ...")
    parser.add_argument('--batch-size', type=int, default=16, help='hands that go through the network at once')
    camera = parser.add_mutually_exclusive_group()
    camera.add_argument('--focal', type=float, help='focal length in pixels, principal point at the centre')
    camera.add_argument('--intrinsics', metavar='fx,fy,cx,cy', help="the camera's intrinsics in pixels")
    parser.add_argument('--compare-base', action='store_true', help='draw the frozen base beside base + adapter')
    parser.add_argument('--overwrite', action='store_true', help='do every image again, also where nothing changed')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, default={}, metavar='KEY=VALUE',
                        help='change config entries')
    args = parser.parse_args(argv)
    if args.batch_size < 1:
        parser.error(f'--batch-size is {args.batch_size}; it must be at least 1')
    return args


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    try:
        images = list_images(args.input)
        body_pose = read_body_pose(args.body_pose) if args.body_pose else None
        requests = [HandRequest(None, args.hand, body_pose)]
        if args.bboxes:
            requests = read_requests(args.bboxes, args.hand, body_pose)
        run = HandRun(HandSettings(
            config=args.config, checkpoint=args.checkpoint, adapter=args.adapter, device=args.device,
            cfg_options=args.cfg_options, out_dir=Path(args.out_dir), batch_size=args.batch_size, focal=args.focal,
            intrinsics=_intrinsics(args.intrinsics), compare_base=args.compare_base, overwrite=args.overwrite,
            default_hand=args.hand, default_body=body_pose), images, requests)
    except (ValueError, OSError) as error:  # the user's mistakes, told without a traceback
        print(f'demo.py: {error}', file=sys.stderr)
        return 2
    if not args.bboxes:
        print('No --bboxes: the whole image is taken as the box of one hand.')
    page = run.process(lambda items, what: tqdm(items, desc=what))
    for line in run.summary():
        print(line)
    for source, message in run.errors:
        print(f'error: {source}: {message}', file=sys.stderr)
    print(f'{run.done} of {run.total} images done ({run.reused} unchanged), {len(run.errors)} errors.\nOpen {page}')
    return 1 if run.errors else 0


def _intrinsics(text: str | None) -> np.ndarray | None:
    if text is None:
        return None
    try:
        fx, fy, cx, cy = (float(number) for number in text.split(','))
    except ValueError as error:
        raise InputError(f'--intrinsics is {text!r}; it must be fx,fy,cx,cy in pixels.') from error
    return np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])


if __name__ == '__main__':
    sys.exit(main())
