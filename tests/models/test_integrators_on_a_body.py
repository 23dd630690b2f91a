"""Integrators on the open body: MANO's orientation is SMPL-X's wrist, and what each does to the forearm's skin."""
import math

import pytest
import torch

from hmradapter.body_models import MANOLayer, SMPLXLayer, load_hand_vertex_ids
from hmradapter.geometry.handover import ELBOWS, SIDES, WRISTS, hand_from_body
from hmradapter.geometry.procrustes import similarity_transform
from hmradapter.geometry.rotations import axis_angle_to_rotmat, geodesic_angle
from hmradapter.models.estimators.integrators import PosedBody, PosedHands
from hmradapter.registry import INTEGRATORS


@pytest.fixture(scope='module')
def body(open_body_models):
    return SMPLXLayer(open_body_models)


def random_pose(*shape, seed):
    return axis_angle_to_rotmat(0.5 * torch.randn(*shape, 3, generator=torch.Generator().manual_seed(seed)))


def mesh_of(body, pose, fingers):
    return body(global_orient=pose[:, :1], body_pose=pose[:, 1:], left_hand_pose=fingers[:, 0], right_hand_pose=fingers[:, 1])


@pytest.mark.parametrize('side', SIDES)
def test_mano_turned_as_the_wrists_chain_is_the_bodys_hand(body, open_body_models, side):
    """No offset between the two models' frames: what a rigid fit of MANO to the body's own hand leaves is under 2 degrees."""
    index = SIDES.index(side)
    pose, fingers = random_pose(6, 22, seed=0), random_pose(6, 2, 15, seed=1)
    seen = mesh_of(body, pose, fingers).vertices[:, load_hand_vertex_ids(open_body_models)[side]]
    hand = MANOLayer(open_body_models, side)
    orient = hand_from_body(pose)[:, index]
    mano = hand(orient.unsqueeze(1), fingers[:, index], body.hand_betas().expand(6, -1)).vertices
    left_over = geodesic_angle(similarity_transform(mano, seen)[1], torch.eye(3).expand(6, 3, 3))
    assert torch.rad2deg(left_over).max() < 2


def turned_palm(body, kind, degrees):
    """Vertices of a body at rest (V, 3) after the left hand expert turned its palm about the forearm, and their rest."""
    rest = body().joints
    axis = torch.nn.functional.normalize(rest[:, WRISTS[0]] - rest[:, ELBOWS[0]], dim=-1)
    eye = torch.eye(3).expand(1, 22, 3, 3)
    fingers = torch.eye(3).expand(1, 2, 15, 3, 3)
    orient = torch.stack((axis_angle_to_rotmat(math.radians(degrees) * axis), eye[:, 0]), dim=1)
    hands = PosedHands(orient, fingers, torch.ones(1, 2, dtype=torch.bool))
    out = INTEGRATORS.build(dict(type=kind))(PosedBody(eye, fingers), hands, rest)
    return mesh_of(body, out.body_pose, out.hand_pose).vertices[0], mesh_of(body, eye, fingers).vertices[0], rest[0], axis[0]


def thinnest_ring(body, kind, degrees):
    """Smallest ratio of the forearm's radius to that at rest, over rings of 1 cm from the elbow to the wrist."""
    posed, resting, joints, axis = turned_palm(body, kind, degrees)
    elbow, wrist = joints[ELBOWS[0]], joints[WRISTS[0]]
    along = (resting - elbow) @ axis
    length = (wrist - elbow) @ axis
    arm = (along > -0.03) & (along < length + 0.02) & (resting[:, 0] > 0.3)

    def radius(points):
        offset = points - elbow
        return (offset - (offset @ axis).unsqueeze(-1) * axis).norm(dim=-1)

    rings = [arm & (along >= low) & (along < low + 0.01) for low in torch.arange(-0.03, float(length) + 0.02, 0.01)]
    return min(float(radius(posed)[ring].mean() / radius(resting)[ring].mean()) for ring in rings if ring.sum() > 4)


def test_turning_the_palm_does_not_wring_the_wrist(body):
    """At 150 degrees a copied wrist is a candy wrapper; the elbow's share keeps the forearm's girth."""
    copied, shared = (thinnest_ring(body, kind, 150) for kind in ('wrist_copy', 'elbow_twist'))
    assert copied < 0.65 and shared > 0.85  # rings of 1 cm are thinner within: 72 degrees leave 0.85, 150 leave 0.3


def test_the_hands_of_copied_and_shared_wrists_are_the_same(body, open_body_models):
    """But for vertices near the border that are blended with the forearm."""
    ids = load_hand_vertex_ids(open_body_models)['left']
    copied, shared = (turned_palm(body, kind, 120)[0][ids] for kind in ('wrist_copy', 'elbow_twist'))
    of_hand = body.weights[[WRISTS[0], *range(25, 40)]][:, ids].sum(0) > 0.999
    assert of_hand.sum() > 100
    assert (copied - shared).norm(dim=-1)[of_hand].max() < 1e-4
