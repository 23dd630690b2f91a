"""Rotations between their representations, over any leading dimensions.

Convention: vectors are columns, x' = R x. Axis-angle vectors are in radians. rot6d is HaMeR's layout (its
`rot6d_to_rotmat`): six numbers a1 | a2, the first two COLUMNS of R one after the other, not SPIN's interleaved 3x2.
A quarter turn about z is rot6d (0, 1, 0, -1, 0, 0): x goes to y, y goes to -x.
Axis-angle, quaternion and geodesic maths is `roma`'s; the 6D layouts are ours.
"""
import math

import numpy as np
import roma
import torch
import torch.nn.functional as F
from scipy.spatial.transform import Rotation
from torch import Tensor


def rot6d_to_rotmat(rot6d: Tensor) -> Tensor:
    """Gram-Schmidt on two column vectors (HaMeR's layout), (..., 6) -> (..., 3, 3).
    A zero vector gives zero columns instead of NaN, as in HaMeR: norms below 1e-12 count as 1e-12."""
    a1, a2 = rot6d[..., :3], rot6d[..., 3:]
    b1 = F.normalize(a1, dim=-1)
    b2 = F.normalize(a2 - (b1 * a2).sum(-1, keepdim=True) * b1, dim=-1)
    b3 = torch.linalg.cross(b1, b2, dim=-1)  # the axis is named: torch.cross without one picks the first axis of length 3
    return torch.stack((b1, b2, b3), dim=-1)


def rotmat_to_rot6d(rotmat: Tensor) -> Tensor:
    """Columns 0 and 1 one after the other, (..., 3, 3) -> (..., 6)."""
    return torch.cat((rotmat[..., 0], rotmat[..., 1]), dim=-1)


def interleaved_rot6d_to_rotmat(rot6d: Tensor) -> Tensor:
    """SPIN's layout: the 3x2 matrix of the first two columns read row by row, (..., 6) -> (..., 3, 3)."""
    return rot6d_to_rotmat(rot6d.unflatten(-1, (3, 2)).transpose(-1, -2).flatten(-2))


def rotmat_to_interleaved_rot6d(rotmat: Tensor) -> Tensor:
    """The first two columns as a 3x2 matrix read row by row, (..., 3, 3) -> (..., 6)."""
    return rotmat[..., :2].flatten(-2)


def axis_angle_to_rotmat(axis_angle: Tensor) -> Tensor:
    """Rotation by |v| radians about v, (..., 3) -> (..., 3, 3). Zero is the identity; gradients stay finite there."""
    return roma.rotvec_to_rotmat(axis_angle)


def axis_angles_to_rotmats(axis_angles: np.ndarray) -> Tensor:
    """The same for a sample's labels (N, 3), without gradients, (N, 3, 3) of their dtype. SciPy's compiled code takes a
    thirtieth of the time of torch's many small calls, which data workers feel."""
    return torch.from_numpy(Rotation.from_rotvec(axis_angles).as_matrix().astype(axis_angles.dtype))


def rotmat_to_axis_angle(rotmat: Tensor) -> Tensor:
    """Shortest axis-angle, |v| in [0, pi] radians, (..., 3, 3) -> (..., 3). The input must be a rotation."""
    return roma.rotmat_to_rotvec(rotmat)


def quat_wxyz_to_rotmat(quat: Tensor) -> Tensor:
    """Quaternion (w, x, y, z) of any positive length, (..., 4) -> (..., 3, 3)."""
    return roma.unitquat_to_rotmat(roma.quat_wxyz_to_xyzw(F.normalize(quat, dim=-1)))


def geodesic_angle(a: Tensor, b: Tensor) -> Tensor:
    """Angle of the rotation that leads from a to b, radians in [0, pi], (..., 3, 3) x 2 -> (...)."""
    return roma.rotmat_geodesic_distance(a, b)


def rotation_about_z(radians: Tensor) -> Tensor:
    """Turn about +z, (...) -> (..., 3, 3). In image axes (y down) a positive angle looks clockwise: x goes towards y."""
    cos, sin = torch.cos(radians), torch.sin(radians)
    zero, one = torch.zeros_like(cos), torch.ones_like(cos)
    return torch.stack((cos, -sin, zero, sin, cos, zero, zero, zero, one), dim=-1).unflatten(-1, (3, 3))


def degrees_to_radians(degrees: Tensor) -> Tensor:
    """Degrees to radians, any shape."""
    return degrees * (math.pi / 180.0)
