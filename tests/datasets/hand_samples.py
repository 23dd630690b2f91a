"""Rows of stores of hands, posed and projected; hands of a source in training."""
import numpy as np
import torch
from tiny_experts import HAND, HAND_ADAPTER

from hmradapter.datasets import HandDataset
from hmradapter.geometry.rotations import axis_angle_to_rotmat
from hmradapter.registry import MODELS
from hmradapter.structures import hmr_collate

PIPELINE = [dict(type='LoadImage'), dict(type='RandomHandAugmentation', scale=0.3, degrees=30, turn_probability=0.6,
                                         shift=0.02),
            dict(type='HandCrop', image_size=128), dict(type='ColorJitter', amount=0.2), dict(type='PackHandInputs')]
LOSSES = dict(keypoints_2d=dict(type='Keypoint2DLoss', weight=0.01), keypoints_3d=dict(type='Keypoint3DLoss', weight=0.05),
              vertices=dict(type='VertexLoss', weight=0.0014), hand_pose=dict(type='HandPoseLoss', weight=0.001),
              betas=dict(type='BetasLoss', weight=0.0005))


def rows(store) -> list:
    """(key, record) of every row."""
    return [(store.key(row), store.record(row)) for row in range(len(store))]


def posed(layer, record, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V, 3) and keypoints (21, 3), metres in the camera, of the parameters of one hand of a record."""
    turns = axis_angle_to_rotmat(torch.from_numpy(np.concatenate((record['hand_global_orient'][side][None],
                                                                  record['hand_pose'][side]))))[None]
    out = layer(turns[:, :1], turns[:, 1:], *(torch.from_numpy(record[name][side][None].copy())
                                              for name in ('hand_betas', 'hand_transl')))
    return out.vertices[0].double().numpy(), out.keypoints[0].double().numpy()


def project(points, K) -> np.ndarray:
    """Camera points (N, 3) -> pixels (N, 2)."""
    uvw = points @ np.asarray(K).T
    return uvw[:, :2] / uvw[:, 2:]


def train_once(source, body_models):
    """All hands of a source through the training pipeline and a tiny hand expert with an adapter: the batch's samples and the
    losses of each kind, backward done."""
    model = MODELS.build(dict(HAND, body_model=dict(type='MANOLayer', model_path=str(body_models)), adapter=HAND_ADAPTER,
                              trainable=['adapter'], losses=LOSSES))
    dataset = HandDataset(source, PIPELINE)
    batch = hmr_collate([dataset[i] for i in range(len(dataset))])
    losses = model.train()(**model.data_preprocessor(batch, True), mode='loss')
    sum(losses.values()).backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters() if parameter.grad is not None)
    return batch['data_samples'], {name: float(value.detach()) for name, value in losses.items()}
