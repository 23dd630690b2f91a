"""Laws of what the hand adapter is compared with, and of our own guidance: how they start, what they see, what they cost."""
import warnings

import pytest
import torch
from tiny_experts import HAND

from hmradapter.geometry.kinematics import chain_product
from hmradapter.geometry.rotations import axis_angle_to_rotmat, rot6d_to_rotmat
from hmradapter.models.adapters import Adapter, ConcatenationHandAdapter, HandAdapter, KinematicHandAdapter
from hmradapter.models.adapters.hand_rivals import ImageTokenHandAdapter, WeightedSumHandAdapter
from hmradapter.models.adapters.moderator import Moderator
from hmradapter.registry import MODELS
from hmradapter.structures.joints import ARM_CHAIN

COMPARES = dict(type='KinematicHandAdapter', compare=True, zero_gate=False)
GUIDED = [*(dict(type=name) for name in ('HandAdapter', 'KinematicHandAdapter', 'ConcatenationHandAdapter',
                                        'WeightedSumHandAdapter')), COMPARES]
UNGUIDED = ['ImageTokenHandAdapter', 'BottleneckHandAdapter']
ARM = list(ARM_CHAIN['right'])
FULL = dict(ImageTokenHandAdapter=26_750_976, ConcatenationHandAdapter=8_960, KinematicHandAdapter=26_777_862,
            WeightedSumHandAdapter=1_703_043, BottleneckHandAdapter=792_960)


def expert(adapter=None, **fields):
    """The same random expert for every adapter."""
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        return MODELS.build(dict(HAND, adapter=adapter, **fields)).eval()


def awake(adapter, seed=1):
    """The adapter as training leaves it: nothing is zero."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in adapter.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return adapter


def features(batch=3):
    return torch.randn(batch, 32, 8, 6, generator=torch.Generator().manual_seed(2))


def poses(batch=3, seed=3):
    return axis_angle_to_rotmat(torch.randn(batch, 22, 3, generator=torch.Generator().manual_seed(seed)))


def read_out(model, pose, has=1.0):
    """pose6d (B, 96) of the head beside the model's adapter."""
    return model.read(features(), (pose, torch.full((len(pose),), has)))['pose6d']


@pytest.mark.parametrize('name', FULL)
def test_counts_at_full_size(name):
    with torch.device('meta'):
        adapter = MODELS.build(dict(type=name))
    assert sum(p.numel() for p in adapter.parameters()) == FULL[name]


def test_comparing_takes_six_numbers_more_a_token():
    with torch.device('meta'):
        with_it, without = (MODELS.build(dict(COMPARES, compare=compare)) for compare in (True, False))
    assert sum(p.numel() for p in with_it.parameters()) - sum(p.numel() for p in without.parameters()) == 7_680


def test_an_adapter_that_overrides_nothing_is_the_expert():
    model = expert()
    plain = model.head(features())
    beside = model.head(features(), Adapter(), None)
    assert all(torch.equal(plain[name], beside[name]) for name in plain)


@pytest.mark.parametrize('adapter', [dict(type='KinematicHandAdapter'), dict(type='BottleneckHandAdapter')],
                         ids=lambda adapter: adapter['type'])
def test_they_start_at_the_expert_bit_for_bit(adapter):
    base = expert().head(features())['pose6d']
    model = expert(adapter)
    assert torch.equal(read_out(model, poses()), base)
    awake(model.adapter)
    assert (read_out(model, poses()) - base).abs().max() > 1e-3


@pytest.mark.parametrize('adapter', GUIDED, ids=lambda adapter: '-'.join(map(str, adapter.values())))
def test_they_read_the_arm_and_a_missing_pose_is_nothing_whatever_stands_there(adapter):
    model = expert(adapter)
    awake(model.adapter)
    legs = poses()
    legs[:, [joint for joint in range(22) if joint not in ARM]] = torch.eye(3)
    assert torch.equal(read_out(model, poses()), read_out(model, legs))
    assert not torch.equal(read_out(model, poses()), read_out(model, poses(seed=4)))
    missing = read_out(model, torch.full((3, 22, 3, 3), float('nan')), has=0.0)
    assert torch.equal(missing, read_out(model, poses(), has=0.0))
    missing.sum().backward()
    assert all(p.grad.isfinite().all() for p in model.adapter.parameters() if p.grad is not None)


@pytest.mark.parametrize('name', UNGUIDED)
def test_what_has_no_guidance_does_not_read_the_body(name):
    model = expert(dict(type=name))
    awake(model.adapter)
    assert model.adapter.encode(poses(), torch.ones(3)) is None
    assert torch.equal(read_out(model, poses()), read_out(model, poses(seed=4)))


def test_the_image_token_adapter_differs_from_ours_in_what_it_reads_alone():
    """Fed the same tokens, both give the same."""
    ours, theirs = expert(dict(type='HandAdapter')), expert(dict(type='ImageTokenHandAdapter'))
    context = features().flatten(2).transpose(1, 2)
    tokens, layer = torch.randn(3, 1, 32), ours.head.layers[0]
    torch.testing.assert_close(theirs.adapter.decode(0, layer, tokens, context, None),
                               ours.adapter.decode(0, layer, tokens, context, guidance=context))
    sizes = [sum(p.numel() for p in model.adapter.blocks.parameters()) for model in (ours, theirs)]
    assert sizes[0] == sizes[1]


def test_concatenated_context_that_says_the_same_twice_changes_nothing():
    """A softmax over every token twice is that over every token once."""
    model = expert(dict(type='ConcatenationHandAdapter'))
    context, tokens = features().flatten(2).transpose(1, 2), torch.randn(3, 1, 32)
    layer = model.head.layers[0]
    torch.testing.assert_close(model.adapter.decode(0, layer, tokens, context, context), layer(tokens, context))


def test_shares_of_a_weighted_sum_add_up_and_a_missing_feature_has_none():
    moderate = awake(Moderator(8))
    own, other = torch.randn(3, 5, 8), torch.randn(3, 1, 8)
    torch.testing.assert_close(moderate(own, own), own)
    assert torch.equal(moderate(own, other, torch.zeros(3, 1, dtype=torch.bool)), own)
    part = moderate(own, other, torch.tensor([[True], [False], [True]]))
    assert torch.equal(part[1], own[1]) and torch.equal(part[0], moderate(own, other)[0])
    between = (moderate(own, other) - own) / (other - own)  # the other's share, the same for all 8 numbers
    assert ((between > 0) & (between < 1)).all()
    torch.testing.assert_close(between, between[..., :1].expand_as(between), atol=1e-3, rtol=1e-3)


def test_a_weighted_sum_that_trusts_the_image_alone_is_the_expert():
    model = expert(dict(type='WeightedSumHandAdapter'))
    with torch.no_grad():
        model.adapter.moderate.mlp[-1].bias.copy_(torch.tensor((1e4, 0)))
    torch.testing.assert_close(read_out(model, poses()), expert().head(features())['pose6d'])


@pytest.mark.parametrize('make, order_matters', [
    (ConcatenationHandAdapter, False), (lambda **sizes: ConcatenationHandAdapter(joint_embedding=True, **sizes), True),
    (WeightedSumHandAdapter, True), (KinematicHandAdapter, True)])
def test_who_sees_which_joint_is_which(make, order_matters):
    adapter = awake(make(context_dim=32))
    swapped = poses()
    swapped[:, ARM] = swapped[:, ARM[::-1]]
    ways = [adapter.encode(pose, torch.ones(3)).sum(dim=1) for pose in (poses(), swapped)]  # a set of tokens has no order
    keys = [adapter.encode(pose, torch.ones(3)).square().sum(dim=1) for pose in (poses(), swapped)]
    same = torch.allclose(*ways, atol=1e-5) and torch.allclose(*keys, atol=1e-4)
    assert same != order_matters


# ---- kinematic guidance ------------------------------------------------------------------------------------------------------
def test_the_wrists_token_holds_the_hands_orientation_and_all_others_theirs():
    adapter, pose = KinematicHandAdapter(context_dim=32), poses()
    numbers = adapter.describe(pose)
    torch.testing.assert_close(rot6d_to_rotmat(numbers[:, -1, 6:]), chain_product(pose, ARM))
    torch.testing.assert_close(numbers[:, 0, 6:], numbers[:, 0, :6])  # the root has no parent
    torch.testing.assert_close(numbers[..., :6], HandAdapter(context_dim=32).describe(pose))


def test_turning_the_camera_turns_what_is_accumulated_and_no_bend_but_the_roots():
    adapter, pose = KinematicHandAdapter(context_dim=32), poses()
    turn = poses(1, seed=9)[0, 0]
    turned = torch.cat((turn @ pose[:, :1], pose[:, 1:]), dim=1)
    before, after = adapter.describe(pose), adapter.describe(turned)
    torch.testing.assert_close(after[:, 1:, :6], before[:, 1:, :6])
    torch.testing.assert_close(rot6d_to_rotmat(after[..., 6:]), turn @ rot6d_to_rotmat(before[..., 6:]))


def test_compared_rotations_stay_as_they_are_when_everything_turns_with_the_camera():
    adapter, pose, (turn, seen) = KinematicHandAdapter(context_dim=32, compare=True), poses(), poses(2, seed=9)[:, 0]
    turned = torch.cat((turn @ pose[:, :1], pose[:, 1:]), dim=1)
    before, after = adapter.describe(pose, seen.expand(3, 3, 3)), adapter.describe(turned, (turn @ seen).expand(3, 3, 3))
    torch.testing.assert_close(after[..., 12:], before[..., 12:])
    agrees = adapter.describe(pose, chain_product(pose, ARM))
    torch.testing.assert_close(rot6d_to_rotmat(agrees[:, -1, 12:]), torch.eye(3).expand(3, 3, 3))
    torch.testing.assert_close(agrees[..., :12], KinematicHandAdapter(context_dim=32).describe(pose))


def test_what_is_compared_with_is_the_experts_own_reading_without_a_gradient():
    model = expert(COMPARES, trainable=['head', 'adapter'])
    told = []
    encode, model.adapter.encode = model.adapter.encode, lambda *given: told.append(given[2]) or encode(*given)
    read_out(model, poses())
    alone = model.decode(model.head(features()))['global_orient'][:, 0]
    assert torch.equal(told[0], alone) and not told[0].requires_grad and alone.requires_grad


def test_the_first_step_opens_the_gates_and_later_ones_reach_all_that_can_learn():
    model = expert(dict(type='KinematicHandAdapter'), trainable=['adapter'])

    def reached():
        model.zero_grad()
        read_out(model, poses()).sum().backward()
        return {name for name, p in model.named_parameters() if p.grad is not None and p.grad.any()}

    assert reached() == {f'adapter.blocks.{index}.gate' for index in range(2)}
    awake(model.adapter)
    assert reached() == {name for name, p in model.named_parameters() if p.requires_grad}


def test_sizes_are_the_decoders():
    adapter = expert(dict(type='ImageTokenHandAdapter')).adapter
    assert isinstance(adapter, ImageTokenHandAdapter) and adapter.blocks[0].cross_attn.to_kv.in_features == 32
