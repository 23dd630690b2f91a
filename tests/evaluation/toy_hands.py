"""A hand model of 40 points and predictions on it: small enough to evaluate hundreds of times."""
from types import SimpleNamespace

import torch
from mmengine.structures import BaseDataElement
from torch import nn

from hmradapter.geometry.rotations import axis_angle_to_rotmat
from hmradapter.registry import MODELS
from hmradapter.structures import HMRDataSample

GENERATOR = torch.Generator().manual_seed(0)
REST = torch.randn(40, 3, generator=GENERATOR) * 0.05


@MODELS.register_module(force=True)
class ToyHand(nn.Module):
    """Vertices follow the wrist's rotation, the first finger's rotation and the first shape coefficient."""

    def forward(self, global_orient, hand_pose, betas):
        half = torch.cat((REST[None, :20].expand(len(betas), -1, -1),
                          REST[None, 20:] @ hand_pose[:, 0].transpose(-1, -2)), 1) * (1 + 0.1 * betas[:, :1, None])
        vertices = half @ global_orient[:, 0].transpose(-1, -2)
        return SimpleNamespace(vertices=vertices, keypoints=vertices[:, :21])


def toy_samples(count: int, seed: int = 0, noise: float = 0.1, visibility: bool = False) -> list[HMRDataSample]:
    """Hands of both sides whose prediction is the truth with `noise` radians on every rotation."""
    generator = torch.Generator().manual_seed(seed)
    model, samples = ToyHand(), []
    for i in range(count):
        pose = torch.randn(16, 3, generator=generator)
        true, pred = (axis_angle_to_rotmat(p) for p in (pose, pose + noise * torch.randn(16, 3, generator=generator)))
        betas = torch.randn(10, generator=generator)
        mesh = model(pred[None, :1], pred[None, 1:], betas[None])
        flags = {f'has_{name}': torch.tensor(1.) for name in ('global_orient', 'hand_pose', 'betas')}
        joints = torch.cat((torch.randn(21, 3, generator=generator), torch.ones(21, 1)), 1)
        meta = dict(visibility=i / count) if visibility else {}
        samples.append(HMRDataSample(
            metainfo=dict(key=f'hand{i}', sample_idx=i, hand='left' if i % 3 else 'right', **meta),
            gt=BaseDataElement(global_orient=true[:1], hand_pose=true[1:], betas=betas, keypoints_3d=joints, **flags),
            pred=BaseDataElement(global_orient=pred[:1], hand_pose=pred[1:], betas=betas, cam=torch.ones(3),
                                 vertices=mesh.vertices[0], keypoints_3d=mesh.keypoints[0])))
    return samples
