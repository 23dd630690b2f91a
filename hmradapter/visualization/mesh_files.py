"""Meshes as OBJ, PLY and GLB files.

Convention: files are in the frame of 3D viewers, x right, y up, z towards the viewer: the OpenCV camera frame turned by half a
turn about x. Metres, where the hand stands before the camera. A point 1 m before the camera is (0, 0, -1) in the file.
"""
import io
from pathlib import Path

import numpy as np
import trimesh

from hmradapter.fileio import atomic_write
from hmradapter.visualization.meshes import Mesh, vertex_normals

VIEWER_FROM_CAMERA = np.array([1, -1, -1], np.float32)


def viewer_vertices(vertices: np.ndarray) -> np.ndarray:
    """Camera frame (V, 3) -> frame of the files (V, 3), float32."""
    return np.asarray(vertices, np.float32) * VIEWER_FROM_CAMERA


def write_obj(path: str | Path, mesh: Mesh) -> None:
    """One mesh as Wavefront OBJ, atomically; coordinates have the digits that give float32 back exactly."""
    lines = [f'v {x:.9g} {y:.9g} {z:.9g}' for x, y, z in viewer_vertices(mesh.vertices).tolist()]
    lines += [f'f {a} {b} {c}' for a, b, c in (np.asarray(mesh.faces) + 1).tolist()]
    with atomic_write(path, 'w') as file:
        file.write('# metres; x right, y up, z towards the viewer\n' + '\n'.join(lines) + '\n')


def write_ply(path: str | Path, mesh: Mesh) -> None:
    """One mesh as binary PLY (float32), atomically."""
    content = trimesh.Trimesh(viewer_vertices(mesh.vertices), mesh.faces, process=False).export(file_type='ply')
    with atomic_write(path) as file:
        file.write(content)


def write_glb(path: str | Path, meshes: dict[str, Mesh]) -> None:
    """Named meshes as one binary glTF scene, atomically; smooth normals, one matt material each."""
    scene = trimesh.Scene()
    for name, mesh in meshes.items():
        material = trimesh.visual.material.PBRMaterial(
            name=name, baseColorFactor=[*mesh.color, 1.0], metallicFactor=0.0, roughnessFactor=0.8, doubleSided=True)
        visual = trimesh.visual.TextureVisuals(material=material)
        vertices = viewer_vertices(mesh.vertices)
        normals = vertex_normals(vertices, mesh.faces)  # trimesh's own need scipy
        surface = trimesh.Trimesh(vertices, mesh.faces, vertex_normals=normals, visual=visual, process=False)
        scene.add_geometry(surface, node_name=name, geom_name=name)
    content = scene.export(file_type='glb', include_normals=True)
    with atomic_write(path) as file:
        file.write(content)


def read_mesh(path: str | Path) -> trimesh.Trimesh:
    """An OBJ, PLY or GLB file as one trimesh, vertices as stored (nothing merged)."""
    with open(path, 'rb') as file:
        loaded = trimesh.load(io.BytesIO(file.read()), file_type=Path(path).suffix[1:], process=False)
    return loaded.to_mesh() if isinstance(loaded, trimesh.Scene) else loaded
