"""Rotations along a kinematic tree and rigid moves of a posed body, over any leading dimensions.

Convention: a parent-relative rotation acts first, in its own joint, so global[j] = global[parent[j]] @ local[j]; the root's
parent is -1.
A body turns about its own root joint J0 (rest pose, metres), not about the origin.
"""
from collections.abc import Sequence

import torch
from torch import Tensor


def global_rotations(local: Tensor, parents: Sequence[int]) -> Tensor:
    """Parent-relative (..., J, 3, 3) -> rotations in the frame that the root's is given in. Parents come before children."""
    chain: list[Tensor] = []
    for joint, parent in enumerate(parents):
        rotation = local[..., joint, :, :]
        chain.append(rotation if parent < 0 else chain[parent] @ rotation)
    return torch.stack(chain, dim=-3)


def local_rotations(world: Tensor, parents: Sequence[int]) -> Tensor:
    """Inverse of `global_rotations`: (..., J, 3, 3) -> parent-relative (..., J, 3, 3)."""
    local = [world[..., joint, :, :] if parent < 0 else world[..., parent, :, :].transpose(-1, -2) @ world[..., joint, :, :]
             for joint, parent in enumerate(parents)]
    return torch.stack(local, dim=-3)


def chain_product(local: Tensor, chain: Sequence[int]) -> Tensor:
    """Product of the rotations of `chain`, root first: (..., J, 3, 3) -> (..., 3, 3).
    Along `structures.joints.ARM_CHAIN` this is the hand's global orientation."""
    product = local[..., chain[0], :, :]
    for joint in chain[1:]:
        product = product @ local[..., joint, :, :]
    return product


def move_root(orient: Tensor, transl: Tensor, root_joint: Tensor, rotation: Tensor,
              translation: Tensor) -> tuple[Tensor, Tensor]:
    """Parameters of a body after X' = R X + t (e.g. world to camera).
    orient (..., 3, 3), transl (..., 3), root_joint (..., 3) = J0 of the rest pose without transl, R (..., 3, 3), t (..., 3),
    metres -> R orient (..., 3, 3), R (J0 + transl) + t - J0 (..., 3). Without J0 bodies shift by tens of centimetres."""
    moved = (rotation @ (root_joint + transl).unsqueeze(-1)).squeeze(-1) + translation - root_joint
    return rotation @ orient, moved
