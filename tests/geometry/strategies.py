"""Random geometry for property tests: tensors drawn by seed, in float64."""
import math

import torch
from hypothesis import strategies as st
from torch import Tensor

from hmradapter.geometry.rotations import axis_angle_to_rotmat

SHAPES = st.sampled_from([(), (3,), (2, 3)])  # leading dimensions; 3 is where an unnamed cross product goes wrong


def generator(seed: int) -> torch.Generator:
    """A source of random numbers of its own."""
    return torch.Generator().manual_seed(seed)


@st.composite
def tensors(draw, *last: int, scale: float = 1.0) -> Tensor:
    """Normal numbers of shape (..., *last)."""
    return scale * torch.randn(*draw(SHAPES), *last, generator=generator(draw(st.integers(0, 2**32))), dtype=torch.float64)


@st.composite
def rotvecs(draw, *joints: int) -> Tensor:
    """Axis-angle vectors (..., *joints, 3) of any direction and an angle in [0, pi)."""
    source = generator(draw(st.integers(0, 2**32)))
    shape = (*draw(SHAPES), *joints)
    direction = torch.nn.functional.normalize(torch.randn(*shape, 3, generator=source, dtype=torch.float64), dim=-1)
    return direction * (math.pi - 1e-3) * torch.rand(*shape, 1, generator=source, dtype=torch.float64)


def rotmats(*joints: int) -> st.SearchStrategy[Tensor]:
    """Rotation matrices (..., *joints, 3, 3)."""
    return rotvecs(*joints).map(axis_angle_to_rotmat)
