"""Pictures of samples, as they are on disk and as the network sees them: a wrong frame or a swapped hand is seen at once.

    python tools/misc/browse_dataset.py configs/hand_adapter_arctic.py --out sheet.jpg
    python tools/misc/browse_dataset.py CONFIG --split val --count 20 --cfg-options data_root=/data/arctic

Each row: the image with the hand's box and joints, then the network's input with the same joints after crop, mirror and
augmentation. At the wrist: thick axes are the hand's global orientation, thin ones the product of the guiding arm's rotations
(x red, y green, z blue). Thin on thick: guidance, hand and frame agree. Only thick ones: no guidance.

Of persons: boxes of the body, the hands and the face, labelled joints (body white, hands in the colours of their sides, face
grey). In the network's picture: boxes and joints as it is taught them.

The mesh is a veil of points over both pictures: the stored one, else that of the sample's own parameters, for which body models
are read from --body-model-root (a hand: MANO's, of the mean shape if it has none of its own). It is placed by the camera alone,
so that it shows what joints that were projected long ago do not: whether parameters, camera and picture belong together.
"""
import argparse
import sys
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import torch
from mmengine.config import DictAction
from torch import Tensor

from hmradapter.datasets.labelled_meshes import LabelledMeshes
from hmradapter.datasets.mixture import MixtureDataset
from hmradapter.datasets.transforms import HeatmapTargets, LoadImage
from hmradapter.engine.config import load_config
from hmradapter.geometry.body_frame import BodyFrame
from hmradapter.geometry.boxes import apply_affine
from hmradapter.geometry.cameras import crop_units_to_pixels, project
from hmradapter.geometry.kinematics import chain_product
from hmradapter.registry import DATASETS
from hmradapter.structures.joints import ARM_CHAIN
from hmradapter.visualization.drawings import PART_COLORS, contact_sheet, draw_box, draw_joints, draw_person_joints

SIDE_COLORS = dict(left=PART_COLORS['left_hand'], right=PART_COLORS['right_hand'])
MESH_COLOR = (120, 220, 160)
AXIS_METRES = 0.06
MIN_DEPTH = 0.05  # metres; what is nearer is not drawn
MODEL_FOLDERS = ('smplx', 'mano', 'smpl')
CELL = 360


def parse_args(argv=None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file with a train_, val_ or test_dataloader')
    parser.add_argument('--split', choices=('train', 'val', 'test'), default='train', help='which dataloader\'s data set')
    parser.add_argument('--count', type=int, default=12, help='samples, spread over the data set')
    parser.add_argument('--seed', type=int, default=0, help='of the augmentation')
    parser.add_argument('--body-model-root', metavar='DIR', help='folder with smplx/, mano/, smpl/ for meshes that are not '
                                                                 "stored (default: that of the config's model or data set)")
    parser.add_argument('--out', default='dataset.jpg', help='picture to write')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, default={}, metavar='KEY=VALUE',
                        help='change config entries')
    return parser.parse_args(argv)


def main(argv=None) -> None:
    """Write the contact sheet."""
    args = parse_args(argv)
    try:
        cfg = load_config(args.config, args.cfg_options)
        dataset = DATASETS.build(cfg[f'{args.split}_dataloader'].dataset)
    except (ValueError, FileNotFoundError) as error:
        sys.exit(f'{Path(sys.argv[0]).name}: {error}')
    meshes = Meshes(cfg, args.body_model_root)
    chosen = np.unique(np.linspace(0, len(dataset) - 1, args.count).round().astype(int))
    rows = []
    for index in chosen.tolist():
        np.random.seed(args.seed + index)
        part, at = dataset.locate(index) if isinstance(dataset, MixtureDataset) else (dataset, index)
        info = part.get_data_info(at)
        mesh, packed = meshes(part, at, info), part.pipeline(dict(info))
        if 'hand' in info:
            rows.append([draw_original(info, mesh), draw_input(packed, mesh)])
            print(f'{index:8d}  {info["key"]}  guidance {int(info["has_body_pose"])}  mesh {int(mesh is not None)}')
        else:
            rows.append([draw_person(info, mesh), draw_person_input(packed, frame_of(part), mesh)])
            joints = int((info['keypoints_2d'][:, 2] > 0).sum())
            print(f'{index:8d}  {info["key"]}  joints {joints}  mesh {int(mesh is not None)}')
    for problem in sorted(meshes.problems):
        print(f'Without meshes: {problem}')
    Path(args.out).parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(args.out, contact_sheet(rows, CELL, ('on disk', 'to the network'))):
        sys.exit(f'{args.out} could not be written: give a name that ends in .jpg or .png.')
    print(f'{len(rows)} of {len(dataset)} samples: {args.out}')


def body_model_root(cfg, dataset) -> Path | None:
    """Where the config has its body models: the folder of its model's, else that of its data set."""
    path = cfg.get('model', {}).get('body_model', {}).get('model_path') or getattr(dataset.source, 'body_model_root', None)
    if path is None:
        return None
    path = Path(path) if Path(path).is_dir() else Path(path).parent
    return path.parent if path.name in MODEL_FOLDERS else path


class Meshes:
    """Pixels (V, 2) in the stored image of a sample's labelled mesh, None where it has none. What body models are missing is
    kept in `problems`."""

    def __init__(self, cfg, root: str | None):
        self.cfg, self.root, self.problems = cfg, root, set()
        self.of = cache(LabelledMeshes)

    def __call__(self, dataset, index: int, info: dict) -> Tensor | None:
        root = self.root or body_model_root(self.cfg, dataset)
        if root is None:
            self.problems.add('the config names no body models: give --body-model-root.')
        if root is None or not info['focal'].all():
            return None
        meshes = self.of(str(root))
        item = dataset.item(index)
        record = dataset.store.record(item // 2 if 'hand' in info else item)
        try:
            mesh = meshes.hand(record, info['hand']) if 'hand' in info else meshes.person(record, dataset.store)
        except FileNotFoundError as error:
            self.problems.add(str(error))
            return None
        if mesh is None:
            return None
        mesh = torch.from_numpy(mesh[mesh[:, 2] > MIN_DEPTH])
        return project(mesh, torch.from_numpy(info['focal']), torch.from_numpy(info['princpt']))


def veiled(image: np.ndarray, pixels: Tensor | None) -> np.ndarray:
    """The image with half transparent points at pixels (V, 2), in its own memory."""
    if pixels is not None:
        at = pixels.round().int()
        x, y = at[((at >= 0) & (at < torch.tensor(image.shape[1::-1]))).all(1)].T.numpy()
        image[y, x] = (image[y, x] + np.array(MESH_COLOR[::-1])) // 2
    return image


def stored_image(info: dict) -> np.ndarray:
    """The image upright, (H, W, 3) BGR, its own memory."""
    return LoadImage()(dict(img_path=info['img_path'], img_span=info['img_span'], rot90=info['rot90']))['img'].copy()


def input_image(packed: dict, width: int, mesh: Tensor | None) -> np.ndarray:
    """The network's picture (H, W, 3) BGR with the mesh's pixels in the stored image brought to it; `width` is that of the crop
    which crop_from_image leads to."""
    image = packed['inputs'].clamp(0, 255).byte().permute(1, 2, 0).numpy()[:, :, ::-1].copy()
    if mesh is not None:
        mesh = apply_affine(mesh, packed['data_samples'].crop.crop_from_image) * (image.shape[1] / width)
    return veiled(image, mesh)


def draw_original(info: dict, mesh: Tensor | None) -> np.ndarray:
    """The stored image with the hand on its true side, (H, W, 3) BGR."""
    hand, center, half = info['hand'], np.asarray(info['box_center']), np.asarray(info['box_wh']) / 2
    image = veiled(stored_image(info), mesh)
    image = draw_box(image, np.concatenate((center - half, center + half)), SIDE_COLORS[hand], hand)
    guide = chain_product(info['body_pose'], ARM_CHAIN[hand]) if info['has_body_pose'] else None
    return _with_hand(image, info['keypoints_2d'], info['keypoints_3d'], info['global_orient'][0], guide)


def draw_input(packed: dict, mesh: Tensor | None) -> np.ndarray:
    """What the network gets: every hand a right one, (S, S, 3) BGR."""
    sample = packed['data_samples']
    image = input_image(packed, packed['inputs'].shape[-1], mesh)
    keypoints = sample.gt.keypoints_2d.clone()
    keypoints[:, :2] = crop_units_to_pixels(keypoints[:, :2], image.shape[0])
    guidance = sample.guidance
    guide = chain_product(guidance.body_pose, ARM_CHAIN['right']) if guidance.has_body_pose else None
    return _with_hand(image, keypoints, sample.gt.keypoints_3d, sample.gt.global_orient[0], guide)


def draw_person(info: dict, mesh: Tensor | None) -> np.ndarray:
    """The stored image with what is known of the person, (H, W, 3) BGR."""
    image = veiled(stored_image(info), mesh)
    box = info['bbox_xywh']
    image = draw_box(image, np.concatenate((box[:2], box[:2] + box[2:])), PART_COLORS['body'], info['gender'])
    return _with_parts(image, info['keypoints_2d'], info['part_boxes'], info['has_part_boxes'])


def frame_of(dataset) -> BodyFrame:
    """The units in which the pipeline gives a person's joints."""
    return next((step.frame for step in dataset.pipeline.transforms if isinstance(step, HeatmapTargets)), BodyFrame())


def draw_person_input(packed: dict, frame: BodyFrame, mesh: Tensor | None) -> np.ndarray:
    """What the network gets and is taught, (H, W, 3) BGR."""
    gt = packed['data_samples'].gt
    image = input_image(packed, frame.crop_size[1], mesh)
    cell = torch.tensor(frame.cell) * image.shape[1] / frame.img_size[1]
    joints = torch.cat((gt.heatmap_joints[:, :2] * cell, gt.heatmap_joints[:, 3:]), dim=1)
    center, size = gt.boxes[:, :2] * cell, gt.boxes[:, 2:] * cell
    return _with_parts(image, joints, torch.cat((center - size / 2, center + size / 2), dim=1), gt.has_boxes)


def _with_parts(image: np.ndarray, joints: Tensor, boxes: Tensor, has_boxes: Tensor) -> np.ndarray:
    """Joints (137, 3) px and boxes (3, 4) of both hands and the face, those that are there."""
    for (name, color), box, there in zip(list(PART_COLORS.items())[1:], boxes, has_boxes, strict=True):
        if there:
            image = draw_box(image, box.numpy(), color, name.removesuffix('_hand'))
    return draw_person_joints(image, joints[:, :2].numpy(), joints[:, 2].numpy())


def _with_hand(image: np.ndarray, keypoints_2d: Tensor, keypoints_3d: Tensor, orient: Tensor,
               guide: Tensor | None) -> np.ndarray:
    """Joints and axes; the scale of the axes is the hand's own, px over metres."""
    image = draw_joints(image, keypoints_2d[:, :2].numpy(), keypoints_2d[:, 2].numpy())
    if (keypoints_3d[:, 3] * keypoints_2d[:, 2]).sum() < 2:
        return image
    spread = [(points - points.mean(0)).norm() for points in (keypoints_2d[:, :2], keypoints_3d[:, :2])]
    scale = AXIS_METRES * spread[0] / spread[1]
    thick = max(3, image.shape[0] // 90)
    for rotation, thickness in ((orient, thick), (guide, max(1, thick // 3))):
        if rotation is not None:
            _draw_axes(image, keypoints_2d[0, :2], scale * rotation[:2], thickness, light=thickness < thick)
    return image


def _draw_axes(image: np.ndarray, origin: Tensor, axes: Tensor, thickness: int, light: bool) -> None:
    """Columns of axes (2, 3) px as arrows from origin (2,), red, green, blue."""
    start = tuple(torch.round(origin).int().tolist())
    for axis, color in enumerate(((40, 40, 220), (40, 180, 40), (220, 60, 40))):  # BGR
        end = tuple(torch.round(origin + axes[:, axis]).int().tolist())
        shade = tuple(min(255, value + 140) for value in color) if light else color
        cv2.arrowedLine(image, start, end, shade, thickness, cv2.LINE_AA, tipLength=0.2)


if __name__ == '__main__':
    main()
