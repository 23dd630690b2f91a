"""One animated GLB (binary glTF 2.0) of a video: a skinned mesh, a skeleton and its movement for each person.

Convention: the frame of `mesh_files` (x right, y up, z towards the viewer), metres, seconds from the first frame of the
earliest person. Each person's betas are baked into the resting mesh. The pose that is shown without playing is the first frame.
Between frames joints turn by the shortest way. Outside of its own frames, by more than half an interval, a person is scaled to
nothing.

What a skin cannot carry, measured on the open body in random poses (0.35 rad a joint and axis, betas of size 1); a licensed
SMPL-X has other correctives and was not measured:
- pose correctives: vertices are 0.5 mm off SMPL-X's on average, 3.0 mm at the 95th percentile, 17 mm at most;
- more than four joints a vertex: the four largest weights are scaled to sum to 1, which is 0.02 mm of that on average, 7.6 mm
  at most;
- expressions move the mesh by morph targets, but joints stay where the neutral face has them: 0.44 mm for the jaw, 0.02 mm for
  others, with expressions of size 0.5.
Otherwise joints are SMPL-X's to rounding. `pygltflib` holds the structures; it knows no arrays, so accessors are made here.
"""
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pygltflib as gltf
import roma
import torch

from hmradapter.body_models import SMPLXLayer
from hmradapter.body_models.open_model.skeleton import JOINT_NAMES
from hmradapter.fileio import atomic_write
from hmradapter.visualization.meshes import vertex_normals
from hmradapter.visualization.motion import Motion, RestBody, viewer_root

INFLUENCES = 4  # joints a vertex; what every glTF viewer supports
COLORS = ((0.55, 0.75, 0.95), (0.98, 0.70, 0.55), (0.66, 0.85, 0.60), (0.85, 0.68, 0.92), (0.95, 0.87, 0.50), (0.7, 0.7, 0.74))
_KINDS = {(): gltf.SCALAR, (3,): gltf.VEC3, (4,): gltf.VEC4, (4, 4): gltf.MAT4}
_COMPONENTS = {'float32': gltf.FLOAT, 'uint8': gltf.UNSIGNED_BYTE, 'uint32': gltf.UNSIGNED_INT}


def write_animated_glb(path: str | Path, motions: Sequence[Motion], layer: SMPLXLayer) -> None:
    """Write the motions of all persons as one GLB with one animation, atomically; meshes have the motions' names."""
    if not motions:
        raise ValueError('there is no motion to write: an animated GLB needs at least one person.')
    start, end = min(m.times[0] for m in motions), max(m.times[-1] for m in motions)
    file = _Animation()
    for number, motion in enumerate(motions):
        _add_person(file, motion, layer, COLORS[number % len(COLORS)], start, end)
    content = file.to_bytes()
    with atomic_write(path) as out:
        out.write(content)


def strongest_weights(weights: np.ndarray, count: int = INFLUENCES) -> tuple[np.ndarray, np.ndarray]:
    """The `count` largest of the skinning weights (V, J), scaled to sum to 1: joints (V, count) uint8 and weights (V, count)
    float32, largest first. A joint without weight is written as 0."""
    joints = np.argsort(-weights, axis=1, kind='stable')[:, :count]
    kept = np.take_along_axis(weights, joints, axis=1).astype(np.float64)
    kept = (kept / kept.sum(axis=1, keepdims=True)).astype(np.float32)
    return np.where(kept > 0, joints, 0).astype(np.uint8), kept


def steady_quaternions(rotations: np.ndarray) -> np.ndarray:
    """Rotations (F, ..., 3, 3) as unit quaternions (F, ..., 4) xyzw, float32, each nearer to the one before
    than its negative."""
    quaternions = roma.rotmat_to_unitquat(torch.from_numpy(np.ascontiguousarray(rotations))).numpy()
    along = (quaternions[1:] * quaternions[:-1]).sum(-1)
    signs = np.cumprod(np.where(along < 0, -1.0, 1.0), axis=0)
    quaternions[1:] *= signs[..., None]
    return quaternions.astype(np.float32)


class _Animation:
    """A glTF file in the making: one scene, one animation, one buffer."""

    def __init__(self):
        self.gltf = gltf.GLTF2(asset=gltf.Asset(version='2.0', generator='hmradapter'), scene=0, scenes=[gltf.Scene(nodes=[])],
                               animations=[gltf.Animation(name='motion')])
        self.pieces: list[bytes] = []
        self.length = 0

    def add(self, kind: str, item) -> int:
        """Append to one of the file's lists; its index."""
        getattr(self.gltf, kind).append(item)
        return len(getattr(self.gltf, kind)) - 1

    def array(self, values: np.ndarray, target: int | None = None, bounds: bool = False) -> int:
        """An accessor of values (N,), (N, 3), (N, 4) or (N, 4, 4), the last transposed: glTF stores columns."""
        values = np.ascontiguousarray(values)
        raw = values.tobytes()
        raw += bytes(-len(raw) % 4)
        view = self.add('bufferViews', gltf.BufferView(buffer=0, byteOffset=self.length, byteLength=len(raw), target=target))
        self.pieces.append(raw)
        self.length += len(raw)
        limits = dict(min=np.atleast_1d(values.min(0)).tolist(), max=np.atleast_1d(values.max(0)).tolist()) if bounds else {}
        return self.add('accessors', gltf.Accessor(bufferView=view, componentType=_COMPONENTS[values.dtype.name],
                                                   count=len(values), type=_KINDS[values.shape[1:]], **limits))

    def animate(self, node: int, path: str, times: int, values: np.ndarray, interpolation: str = gltf.ANIM_LINEAR) -> None:
        """Move a node's `path` (translation, rotation, scale, weights) through the values at the times of an accessor."""
        animation = self.gltf.animations[0]
        animation.samplers.append(gltf.AnimationSampler(input=times, output=self.array(values.astype(np.float32)),
                                                        interpolation=interpolation))
        animation.channels.append(gltf.AnimationChannel(sampler=len(animation.samplers) - 1,
                                                        target=gltf.AnimationChannelTarget(node=node, path=path)))

    def to_bytes(self) -> bytes:
        """The whole file."""
        self.gltf.buffers = [gltf.Buffer(byteLength=self.length)]
        self.gltf.set_binary_blob(b''.join(self.pieces))
        return b''.join(self.gltf.save_to_bytes())


def _add_person(file: _Animation, motion: Motion, layer: SMPLXLayer, color: tuple, start: float, end: float) -> None:
    rest = RestBody.of(motion, layer)
    rotations = motion.rotations
    rotations[:, 0], places = viewer_root(motion, rest)
    quaternions = steady_quaternions(rotations)
    with_face = bool(np.any(motion.expression))
    skeleton = _add_skeleton(file, rest, quaternions[0], places[0])
    mesh = _add_mesh(file, rest, layer, motion.name, color, with_face)
    if with_face:
        file.gltf.meshes[mesh].weights = motion.expression[0].tolist()
    bind = np.tile(np.eye(4, dtype=np.float32), (len(rest.joints), 1, 1))
    bind[:, 3, :3] = -rest.joints  # transposed: the last row is the shift
    figure = file.add('nodes', gltf.Node(name=f'{motion.name} skeleton', children=[skeleton[0]]))  # Blender: one armature each
    skin = file.add('skins', gltf.Skin(joints=skeleton, skeleton=figure, inverseBindMatrices=file.array(bind),
                                       name=motion.name))
    node = file.add('nodes', gltf.Node(name=motion.name, mesh=mesh, skin=skin))
    file.gltf.scenes[0].nodes += [node, figure]

    times = file.array((motion.times - start).astype(np.float32), bounds=True)
    for joint, number in enumerate(skeleton):
        file.animate(number, 'rotation', times, quaternions[:, joint])
    file.animate(skeleton[0], 'translation', times, places)
    if with_face:
        file.animate(node, 'weights', times, motion.expression.reshape(-1))
    _hide_outside(file, skeleton[0], motion, start, end)


def _add_skeleton(file: _Animation, rest: RestBody, turns: np.ndarray, place: np.ndarray) -> list[int]:
    """A node for each joint, in the pose of the first frame; their numbers."""
    first = len(file.gltf.nodes)
    for joint, parent in enumerate(rest.parents):
        shift = place if parent < 0 else rest.joints[joint] - rest.joints[parent]
        children = [first + child for child, above in enumerate(rest.parents) if above == joint]
        file.add('nodes', gltf.Node(name=JOINT_NAMES[joint], translation=shift.tolist(), rotation=turns[joint].tolist(),
                                    children=children))
    return list(range(first, first + len(rest.parents)))


def _add_mesh(file: _Animation, rest: RestBody, layer: SMPLXLayer, name: str, color: tuple, with_face: bool) -> int:
    vertices, faces = rest.vertices.astype(np.float32), layer.faces
    normals = vertex_normals(vertices, faces).astype(np.float32)
    joints, weights = strongest_weights(layer.weights.T.cpu().numpy())
    attributes = gltf.Attributes(POSITION=file.array(vertices, gltf.ARRAY_BUFFER, bounds=True),
                                 NORMAL=file.array(normals, gltf.ARRAY_BUFFER), JOINTS_0=file.array(joints, gltf.ARRAY_BUFFER),
                                 WEIGHTS_0=file.array(weights, gltf.ARRAY_BUFFER))
    material = file.add('materials', gltf.Material(
        name=name, doubleSided=True, pbrMetallicRoughness=gltf.PbrMetallicRoughness(
            baseColorFactor=[*color, 1.0], metallicFactor=0.0, roughnessFactor=0.8)))
    primitive = gltf.Primitive(attributes=attributes, material=material, mode=gltf.TRIANGLES,
                               indices=file.array(faces.astype(np.uint32).reshape(-1), gltf.ELEMENT_ARRAY_BUFFER))
    mesh = gltf.Mesh(name=name, primitives=[primitive])
    if with_face:
        shifts = rest.expressions.astype(np.float32)
        primitive.targets = [{'POSITION': file.array(shift, gltf.ARRAY_BUFFER, bounds=True)} for shift in shifts]
        mesh.extras = {'targetNames': [f'expression_{number}' for number in range(len(shifts))]}  # as Blender names shape keys
    return file.add('meshes', mesh)


def _hide_outside(file: _Animation, root: int, motion: Motion, start: float, end: float) -> None:
    """Scale the person to nothing more than half an interval before its first and after its last frame."""
    half = motion.interval / 2
    shown, gone = motion.times[0] - half - start, motion.times[-1] + half - start
    steps = [(0.0, 1.0)] if shown <= 0 else [(0.0, 0.0), (shown, 1.0)]
    if gone < end - start:
        steps.append((gone, 0.0))
    if len(steps) == 1:
        return
    times, sizes = np.array(steps, np.float32).T
    file.animate(root, 'scale', file.array(times, bounds=True), np.repeat(sizes[:, None], 3, axis=1), gltf.ANIM_STEP)
