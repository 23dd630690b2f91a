"""A small 3DPW release: bodies of the open SMPL go out in the world, pickled as by Python 2; truth in the camera kept."""
import json
import pickle
from pathlib import Path

import cv2
import numpy as np
import torch

from hmradapter.body_models import SMPLLayer
from hmradapter.geometry.rotations import axis_angle_to_rotmat, rotmat_to_axis_angle

COUNT = 4
LANDSCAPE, PORTRAIT = (192, 108), (108, 192)
TEST = dict(downtown_walk_00=(('m', 'f'), LANDSCAPE), courtyard_box_01=(('f',), PORTRAIT))
TRAIN = dict(outdoors_run_00=(('m',), PORTRAIT))
INVALID = ('downtown_walk_00', 1, 2)     # sequence, actor, frame without a valid camera pose
UNSEEN = ('courtyard_box_01', 0, 3)      # OpenPose saw fewer than 6 joints
NAMES = dict(m='male', f='female')


class Python2Pickler(pickle._Pickler):
    """Writes text and bytes as Python 2 did its `str`."""
    dispatch = dict(pickle._Pickler.dispatch)

    def save_string(self, value):
        raw = value.encode('latin1') if isinstance(value, str) else value
        self.write(pickle.BINSTRING + len(raw).to_bytes(4, 'little') + raw)
        self.memoize(value)

    dispatch[str] = dispatch[bytes] = save_string


def dump(path, content):
    with open(path, 'wb') as file:
        Python2Pickler(file, protocol=2).dump(content)


def write_pw3d(root, body_model_root, seed=0) -> dict:
    """Write both splits and 3DPW_test.json; return {key of the sample: its truth in the camera}."""
    root, rng, truth, coco = Path(root), np.random.default_rng(seed), {}, dict(images=[], annotations=[])
    layers = {name: SMPLLayer(Path(body_model_root) / 'smpl', gender=gender) for name, gender in NAMES.items()}
    for split, sequences in (('test', TEST), ('train', TRAIN)):
        for sequence, (genders, size) in sequences.items():
            truth |= _write_sequence(root, layers, split, sequence, genders, size, rng, coco if split == 'test' else None)
    (root / '3DPW_test.json').write_text(json.dumps(coco))
    return truth


def _write_sequence(root, layers, split, sequence, genders, size, rng, coco) -> dict:
    cameras = np.tile(np.eye(4), (COUNT, 1, 1))
    K = np.array([[150.0, 0, size[0] / 2 + 3], [0, 152.0, size[1] / 2 - 2], [0, 0, 1]])
    for frame, matrix in enumerate(cameras):  # world: y up; the camera walks and turns
        matrix[:3, :3] = cv2.Rodrigues(np.array([np.pi + 0.03 * frame, 0.05 * frame, 0.02]))[0]
        matrix[:3, 3] = [0.1 * frame, 1.0, 3.4]
    content = dict(sequence=sequence, genders=list(genders), cam_poses=cameras, cam_intrinsics=K,
                   img_frame_ids=np.arange(COUNT), poses_60Hz=[],
                   **{name: [] for name in ('poses', 'trans', 'betas', 'campose_valid', 'poses2d', 'jointPositions')})
    truth = {}
    for actor, gender in enumerate(genders):
        poses = rng.normal(0, 0.15, (COUNT, 72))
        poses[:, :3] = rng.normal(0, 0.2, (COUNT, 3))
        trans = rng.normal(0, 0.03, (COUNT, 3)) + [0.7 * actor - 0.3 * (len(genders) - 1), 1.0, 0]
        betas = rng.normal(0, 1, 12)             # longer than what counts
        turns = axis_angle_to_rotmat(torch.from_numpy(poses).float().unflatten(1, (24, 3)))
        shape = torch.from_numpy(betas[:10]).float().expand(COUNT, 10)
        out = layers[gender](turns[:, :1], turns[:, 1:], shape, torch.from_numpy(trans).float())
        vertices, joints = out.vertices.double().numpy(), out.joints.double().numpy()
        root_joint = layers[gender].root_joint(shape[:1])[0].double().numpy()
        valid, detections = np.ones(COUNT), np.zeros((COUNT, 3, 18))
        for frame in range(COUNT):
            R, t = cameras[frame, :3, :3], cameras[frame, :3, 3]
            seen = dict(vertices=vertices[frame] @ R.T + t, joints=joints[frame] @ R.T + t, K=K, size=size, gender=gender)
            detections[frame][:, [0, 3, 16]] = np.array([[30 + frame, 20, 0.5], [1, 2, 0.9], [40, 25 + actor, 1.2]]).T
            truth[f'3dpw/{split}/{sequence}/{frame:05d}/{actor}'] = seen
            if coco is not None:
                _add_annotation(coco, sequence, frame, poses[frame], trans[frame], betas[:10], root_joint, R, t, seen)
        if (sequence, actor) == INVALID[:2]:
            valid[INVALID[2]] = 0
            del truth[f'3dpw/{split}/{sequence}/{INVALID[2]:05d}/{actor}']
        if (sequence, actor) == UNSEEN[:2]:
            detections[UNSEEN[2]] = 0
        for name, value in dict(poses=poses, trans=trans, betas=betas, campose_valid=valid, poses2d=detections,
                                jointPositions=joints.reshape(COUNT, 72)).items():
            content[name].append(value)
    (root / 'sequenceFiles' / split).mkdir(parents=True, exist_ok=True)
    dump(root / 'sequenceFiles' / split / f'{sequence}.pkl', content)
    folder = root / 'imageFiles' / sequence
    folder.mkdir(parents=True)
    for frame in range(COUNT):
        cv2.imwrite(str(folder / f'image_{frame:05d}.jpg'), rng.integers(0, 256, (*size[::-1], 3), dtype=np.uint8))
    return truth


def _add_annotation(coco, sequence, frame, pose, trans, betas, root_joint, R, t, seen) -> None:
    """The same person as the json has it: in the camera's frame."""
    file_name, image_id = f'image_{frame:05d}.jpg', 1000 * list(TEST).index(sequence) + frame
    if image_id not in [image['id'] for image in coco['images']]:
        K, size = seen['K'], seen['size']
        coco['images'].append(dict(id=image_id, sequence=sequence, file_name=file_name, width=size[0], height=size[1],
                                   cam_param=dict(focal=[K[0, 0], K[1, 1]], princpt=[K[0, 2], K[1, 2]])))
    orient = R @ cv2.Rodrigues(pose[:3])[0]
    turned = np.concatenate((rotmat_to_axis_angle(torch.from_numpy(orient)[None])[0].numpy(), pose[3:]))
    moved = R @ (root_joint + trans) + t - root_joint
    pixels = seen['vertices'] @ seen['K'].T
    pixels = pixels[:, :2] / pixels[:, 2:]
    box = [*(pixels.min(0) - 3), *(pixels.max(0) - pixels.min(0) + 6)]
    coco['annotations'].append(dict(
        id=len(coco['annotations']), image_id=image_id, bbox=box,
        smpl_param=dict(pose=turned.tolist(), shape=betas.tolist(), trans=moved.tolist(), gender=NAMES[seen['gender']])))
