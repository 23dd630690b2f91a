"""EHF's layout, written: 1600 x 1200 images NN_img.png, meshes NN_align.ply in the scanner's frame, NN_2Djnt.json, EHF.json.

Scanner frame: metres, y up, the person faces +z. The camera is EHF's own, the same for all images: X_c = R X + t. Sources:
ExPose `expose/data/datasets/ehf.py`, Multi-HMR `datasets/ehf.py`, mmhuman3d `ehf.py`; the COCO-style EHF.json is OSX's.
"""
import json
from pathlib import Path

import cv2
import numpy as np

from hmradapter.fileio import atomic_write
from hmradapter.synthetic.cameras import Camera
from hmradapter.synthetic.curves import turns
from hmradapter.synthetic.openpose import person_json

SIZE = (1600, 1200)
ROTATION = turns((-2.98747896, 0.01172457, -0.05704687))
TRANSLATION = np.array([-0.03609917, 0.43416458, 2.37101226])
FOCAL, CENTRE = 1498.22426237, (790.263706, 578.90334)
K = np.array([[FOCAL, 0, CENTRE[0]], [0, FOCAL, CENTRE[1]], [0, 0, 1]])
ANNOTATIONS = 'EHF.json'


def paths(root: Path, name: str) -> dict[str, Path]:
    """Files of one frame, name '01', '02', ...; the image is written last."""
    return dict(mesh=root / f'{name}_align.ply', joints=root / f'{name}_2Djnt.json', image=root / f'{name}_img.png')


def scanner_camera() -> Camera:
    """EHF's camera over the scanner frame."""
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = ROTATION, TRANSLATION
    return Camera(K, matrix, SIZE)


def write_frame(root: Path, name: str, image: np.ndarray, vertices: np.ndarray, faces: np.ndarray, joints: np.ndarray) -> None:
    """image (1200, 1600, 3) uint8 BGR; vertices (V, 3) and joints (144, 3) in the scanner frame."""
    files = paths(root, name)
    with atomic_write(files['mesh']) as file:
        file.write(ply(vertices, faces))
    with atomic_write(files['joints'], 'w') as file:
        json.dump(dict(version=1.3, people=[person_json(scanner_camera().project(joints), SIZE)]), file)
    with atomic_write(files['image']) as file:
        file.write(cv2.imencode('.png', image, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes())


def ply(vertices: np.ndarray, faces: np.ndarray) -> bytes:
    """A binary PLY file of float32 vertices (V, 3) and triangles (F, 3)."""
    header = ('ply\nformat binary_little_endian 1.0\n'
              f'element vertex {len(vertices)}\nproperty float x\nproperty float y\nproperty float z\n'
              f'element face {len(faces)}\nproperty list uchar int vertex_indices\nend_header\n')
    corners = np.empty(len(faces), np.dtype([('count', 'u1'), ('ids', '<i4', 3)]))
    corners['count'], corners['ids'] = 3, faces
    return header.encode() + vertices.astype('<f4').tobytes() + corners.tobytes()


def write_annotations(root: Path, names: list[str], boxes: dict[str, dict[str, list[float]]]) -> None:
    """The COCO-style list of all frames; boxes {name: {'body_bbox', 'lefthand_bbox', ...: xywh px}}."""
    images = [dict(id=k, file_name=f'{name}_img.png', width=SIZE[0], height=SIZE[1]) for k, name in enumerate(names)]
    entries = [dict(id=k, image_id=k, **boxes[name]) for k, name in enumerate(names)]
    with atomic_write(root / ANNOTATIONS, 'w') as file:
        json.dump(dict(images=images, annotations=entries), file)


def part_boxes(root: Path, name: str) -> dict[str, list[float]]:
    """Boxes of one written frame: hands and face around their keypoints, the body around all of them. xywh px."""
    person = json.loads(paths(root, name)['joints'].read_text())['people'][0]
    points = {part: np.array(values).reshape(-1, 3) for part, values in person.items()}
    groups = {'body_bbox': list(points), 'lefthand_bbox': ['hand_left_keypoints_2d'],
              'righthand_bbox': ['hand_right_keypoints_2d'], 'face_bbox': ['face_keypoints_2d']}
    found = {}
    for box, parts in groups.items():
        seen = np.concatenate([points[part] for part in parts])
        seen = seen[seen[:, 2] > 0, :2]
        low, high = (seen.min(axis=0), seen.max(axis=0)) if len(seen) else (np.zeros(2), np.zeros(2))
        found[box] = [*low.round(3).tolist(), *(high - low).round(3).tolist()]
    return found
