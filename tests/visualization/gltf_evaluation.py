"""A plain reading of animated glTF 2.0, after its specification: what a viewer shows at a time. Only what our files use."""
import json
from pathlib import Path

import numpy as np
import roma
import torch

COMPONENTS = {5121: np.uint8, 5125: np.uint32, 5126: np.float32}
SHAPES = {'SCALAR': (), 'VEC3': (3,), 'VEC4': (4,), 'MAT4': (4, 4)}


class Scene:
    """The first animation of a GLB."""

    def __init__(self, path):
        raw = Path(path).read_bytes()
        length = int.from_bytes(raw[12:16], 'little')
        self.tree, self.binary = json.loads(raw[20:20 + length]), raw[28 + length:]

    def array(self, accessor: int) -> np.ndarray:
        about = self.tree['accessors'][accessor]
        view = self.tree['bufferViews'][about['bufferView']]
        shape = (about['count'], *SHAPES[about['type']])
        values = np.frombuffer(self.binary, COMPONENTS[about['componentType']], int(np.prod(shape)), view.get('byteOffset', 0))
        values = values.reshape(shape)
        return values.transpose(0, 2, 1) if about['type'] == 'MAT4' else values  # stored by columns

    def node_states(self, time: float | None) -> list[dict]:
        """The nodes' properties at a time; None: without the animation."""
        nodes = [dict(node) for node in self.tree['nodes']]
        animation = self.tree['animations'][0]
        for channel in animation['channels'] if time is not None else ():
            sampler = animation['samplers'][channel['sampler']]
            nodes[channel['target']['node']][channel['target']['path']] = self._sample(sampler, channel['target']['path'], time)
        return nodes

    def _sample(self, sampler: dict, path: str, time: float) -> np.ndarray:
        times, values = self.array(sampler['input']).astype(np.float64), self.array(sampler['output']).astype(np.float64)
        values = values.reshape(len(times), -1)
        low = int(np.clip(np.searchsorted(times, time, side='right') - 1, 0, len(times) - 1))
        high = min(low + 1, len(times) - 1)
        share = np.clip((time - times[low]) / (times[high] - times[low]), 0, 1) if high > low else 0.0
        if sampler.get('interpolation') == 'STEP':
            return values[low]
        if path == 'rotation':
            return roma.unitquat_slerp(*(torch.from_numpy(values[i]) for i in (low, high)), torch.tensor(share)).numpy()
        return (1 - share) * values[low] + share * values[high]

    def world(self, nodes: list[dict]) -> np.ndarray:
        """Matrices (N, 4, 4) of all nodes in the scene."""
        matrices = np.full((len(nodes), 4, 4), np.nan)

        def visit(number, above):
            node, local = nodes[number], np.eye(4)
            turn = roma.unitquat_to_rotmat(torch.tensor(np.array(node.get('rotation', (0, 0, 0, 1)), np.float64))).numpy()
            local[:3, :3] = turn * np.array(node.get('scale', (1, 1, 1)))
            local[:3, 3] = node.get('translation', (0, 0, 0))
            matrices[number] = above @ local
            for child in node.get('children', ()):
                visit(child, matrices[number])
        for root in self.tree['scenes'][0]['nodes']:
            visit(root, np.eye(4))
        return matrices

    def joints(self, person: int, time: float | None) -> np.ndarray:
        """Places (J, 3) of a skin's joints."""
        return self.world(self.node_states(time))[self.tree['skins'][person]['joints'], :3, 3]

    def vertices(self, person: int, time: float | None) -> np.ndarray:
        """The skinned mesh (V, 3)."""
        nodes = self.node_states(time)
        node = next(node for node in nodes if node.get('skin') == person)
        mesh, skin = self.tree['meshes'][node['mesh']], self.tree['skins'][person]
        primitive = mesh['primitives'][0]
        places = self.array(primitive['attributes']['POSITION']).astype(np.float64)
        weights = node.get('weights', mesh.get('weights', ()))
        for weight, target in zip(weights, primitive.get('targets', ()), strict=True):
            places = places + weight * self.array(target['POSITION'])
        bones = self.world(nodes)[skin['joints']] @ self.array(skin['inverseBindMatrices'])
        joints, shares = (self.array(primitive['attributes'][name]) for name in ('JOINTS_0', 'WEIGHTS_0'))
        mixed = np.einsum('vk,vkij->vij', shares, bones[joints])
        return np.einsum('vij,vj->vi', mixed[:, :3, :3], places) + mixed[:, :3, 3]
