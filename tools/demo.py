"""People in pictures and videos: meshes over the image, a side view, 3D files, SMPL-X parameters, one interactive web page.

    python tools/demo.py photos/ --out-dir outputs/demo                           a folder; the built-in detector finds people
    python tools/demo.py photo.jpg --bboxes '40,10,310,470;300,20,520,470'        two persons that you point at
    python tools/demo.py photos/ --bboxes boxes.json --compare-base               beside the experts without adapters
    python tools/demo.py clip.mp4 --smooth zero_phase --detector torchvision:fasterrcnn_resnet50_fpn --det-weights det.pth
    python tools/demo.py webcam                                                   until Ctrl-C
    python tools/demo.py photos/ --no-render --formats glb                        meshes and parameters only, faster
    python tools/demo.py photo.jpg --config configs/open/hand_adapter_open.py --bboxes 120,80,260,240 --hand right

boxes.json: {"photo.jpg": [[x0, y0, x1, y1], ...]}. With the config of a HandExpert the boxes are of hands:
{"photo.jpg": [{"xyxy": [120, 80, 260, 240], "hand": "right", "body_pose": [[...22 axis-angles...]]}, ...]} ("hand" and
"body_pose" may be absent), and without --bboxes the whole image is taken as the box of one hand.
Exit status: 0 all done, 1 some could not be used (each is named, the others are done), 2 nothing could start.
Run again, it only does what is missing or changed. What the files mean: docs/outputs.md.
"""
import argparse
import sys
from pathlib import Path

import numpy as np
from mmengine.config import DictAction
from tqdm import tqdm

from hmradapter.apis.hand_run import HandRun, HandSettings
from hmradapter.apis.inferencer import WEIGHT_NAMES
from hmradapter.apis.inputs import (
    HAND_CHOICES,
    HandRequest,
    InputError,
    list_images,
    read_body_pose,
    read_person_boxes,
    read_requests,
)
from hmradapter.apis.person_outputs import FORMATS
from hmradapter.apis.person_run import PersonSettings, PictureRun, open_input
from hmradapter.apis.run import Run, check_out_dir
from hmradapter.apis.video_motion import SMOOTHINGS
from hmradapter.apis.video_run import VideoRun, is_video
from hmradapter.engine.config import load_config

DEFAULT_CONFIG = Path(__file__).resolve().parents[1] / 'configs' / 'open' / 'dual_path_open.py'
BATCH_SIZES = dict(hands=16, persons=8)


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('input', help="an image, a folder of images; for persons also a video, 'webcam' or 'webcam:1'")
    parser.add_argument('--config', default=str(DEFAULT_CONFIG), help='config of the model (default: the open dual path)')
    parser.add_argument('--bboxes', help='a .json file (see above), or boxes x0,y0,x1,y1 in pixels for every image, with ; '
                        'between persons; a box that begins with a minus needs --bboxes=-5,0,90,80')
    parser.add_argument('--out-dir', default='outputs/demo', help='where everything is written')
    parser.add_argument('--device', default='auto', help="'auto', 'cpu', 'cuda:0', ...")
    parser.add_argument('--batch-size', type=int, help='persons (default 8) or hands (16) that go through the network at once')
    camera = parser.add_mutually_exclusive_group()
    camera.add_argument('--focal', type=float, help='focal length in pixels, principal point at the centre')
    camera.add_argument('--intrinsics', metavar='fx,fy,cx,cy', help="the camera's intrinsics in pixels")
    parser.add_argument('--compare-base', action='store_true', help='draw the result without adapters, too')
    parser.add_argument('--overwrite', action='store_true', help='do every image again, also where nothing changed')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, default={}, metavar='KEY=VALUE',
                        help='change config entries')
    persons = parser.add_argument_group('persons', 'with the config of a dual path or a whole-body expert')
    persons.add_argument('--weights', nargs='+', default=[], metavar='NAME=FILE', help='instead of those that the config '
                         f'names: {", ".join(WEIGHT_NAMES)}; an adapter may be none')
    persons.add_argument('--detector', metavar='NAME', help="who finds persons without --bboxes: 'auto' (default), 'hog', "
                         "'whole_image', torchvision:MODEL, a config of MMDetection, MODULE:CLASS")
    persons.add_argument('--det-weights', metavar='FILE', help="the detector's weights")
    persons.add_argument('--formats', metavar='LIST', help=f'of {",".join(FORMATS)} (default: all)')
    persons.add_argument('--no-render', action='store_true', help='no pictures, films and 3D views')
    persons.add_argument('--smooth', choices=SMOOTHINGS, help='how motion in a video is smoothed (default: zero_phase)')
    hands = parser.add_argument_group('hands', 'with the config of a HandExpert')
    hands.add_argument('--checkpoint', metavar='FILE', help="the expert's weights, instead of those that the config names")
    hands.add_argument('--adapter', metavar='FILE', help="adapter.safetensors; without it, or with 'none', the expert alone")
    hands.add_argument('--hand', choices=HAND_CHOICES, help="side of hands whose side is not given (default: 'auto')")
    hands.add_argument('--body-pose', metavar='FILE', help='guiding body for hands without their own: .json, .npy or .npz '
                       'with (22, 3) axis-angle, SMPL-X order, pelvis in the camera frame')
    args = parser.parse_args(argv)
    if args.batch_size is not None and args.batch_size < 1:
        parser.error(f'--batch-size is {args.batch_size}; it must be at least 1')
    args.groups = {group.title: [action.dest for action in group._group_actions] for group in (persons, hands)}
    return args


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    try:
        check_out_dir(args.out_dir, args.input)
        kind = 'hands' if load_config(args.config, args.cfg_options).model.type == 'HandExpert' else 'persons'
        _refuse_options_of_others(args, kind)
        run = (_hands if kind == 'hands' else _persons)(args, args.batch_size or BATCH_SIZES[kind])
        run.out_dir.mkdir(parents=True, exist_ok=True)
    except (ValueError, OSError, ImportError) as error:  # the user's mistakes, told without a traceback
        print(f'demo.py: {error}', file=sys.stderr)
        return 2
    try:
        page = run.process(lambda items, what: tqdm(items, desc=what))
    except (OSError, RuntimeError) as error:  # a full disk, a GPU without memory: what was finished stays
        print(f'demo.py: the run ended after {run.done} {run.unit}: {error}', file=sys.stderr)
        return 1
    for line in run.summary():
        print(line)
    for source, message in run.errors:
        print(f'error: {source}: {message}', file=sys.stderr)
    print(f'{run.done} of {run.total} {run.unit} done ({run.reused} unchanged), {len(run.errors)} errors.\nOpen {page}')
    return 1 if run.errors else 0


def _refuse_options_of_others(args: argparse.Namespace, kind: str) -> None:
    other = 'persons' if kind == 'hands' else 'hands'
    given = [f'--{name.replace("_", "-")}' for name in args.groups[other] if getattr(args, name)]
    if given:
        hint = '; files of experts and adapters are named by --weights' if kind == 'persons' else ''
        raise InputError(f'{", ".join(given)}: for {other} only, but the model of {args.config} looks at {kind}{hint}.')


def _persons(args: argparse.Namespace, batch_size: int) -> Run:
    source = open_input(args.input)
    settings = PersonSettings(
        config=args.config, out_dir=Path(args.out_dir), weights=_weights(args.weights), device=args.device,
        cfg_options=args.cfg_options, detector=args.detector or 'auto', det_weights=args.det_weights,
        bboxes=read_person_boxes(args.bboxes) if args.bboxes else None, batch_size=batch_size, focal=args.focal,
        intrinsics=_intrinsics(args.intrinsics), compare_base=args.compare_base, overwrite=args.overwrite,
        formats=tuple(args.formats.split(',')) if args.formats else FORMATS, render=not args.no_render,
        smooth=args.smooth or SMOOTHINGS[0])
    return (VideoRun if is_video(source) else PictureRun)(settings, source)


def _hands(args: argparse.Namespace, batch_size: int) -> Run:
    images = list_images(args.input)
    side = args.hand or 'auto'
    body_pose = read_body_pose(args.body_pose) if args.body_pose else None
    requests = read_requests(args.bboxes, side, body_pose) if args.bboxes else [HandRequest(None, side, body_pose)]
    if not args.bboxes:
        print('No --bboxes: the whole image is taken as the box of one hand.')
    return HandRun(HandSettings(
        config=args.config, checkpoint=args.checkpoint, adapter=args.adapter, device=args.device, cfg_options=args.cfg_options,
        out_dir=Path(args.out_dir), batch_size=batch_size, focal=args.focal, intrinsics=_intrinsics(args.intrinsics),
        compare_base=args.compare_base, overwrite=args.overwrite, default_hand=side, default_body=body_pose), images, requests)


def _weights(entries: list[str]) -> dict[str, str | None]:
    pairs = [entry.partition('=') for entry in entries]
    for name, equals, file in pairs:
        if not (equals and file):
            raise InputError(f'--weights has {name!r}; it must be NAME=FILE, with a name of {WEIGHT_NAMES}.')
    return {name: None if file == 'none' else file for name, _, file in pairs}


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
