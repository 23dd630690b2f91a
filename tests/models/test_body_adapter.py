"""Laws of the body adapter: how it starts, where it looks, what is missing, what a mirror does, what never learns."""
import json
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.structures import BaseDataElement

from hmradapter.geometry.body_frame import BodyFrame
from hmradapter.models.adapters import AdapterMismatchError, BodyAdapter, load_adapter, save_adapter
from hmradapter.models.estimators import WholeBodyExpert
from hmradapter.models.freezing import state_hash
from hmradapter.models.heads import CrossAttention, HandMaps
from hmradapter.models.losses import move_hands_into_boxes
from hmradapter.structures import HMRDataSample
from hmradapter.structures.joints import HAND20_MCP

BACKBONE = dict(type='SMPLerXViT', embed_dim=32, depth=1, num_heads=2)
HEAD = dict(type='SMPLerXHead', context_dim=32, boxes=dict(type='BoxHead', dim=16),
            hand_rotation=dict(type='HandRotationHead', dim=24))
SIZES = dict(depth=2, dim=48, heads=2, head_dim=16, mlp_dim=32, ffn_hidden=(40,))
OWN = dict(SIZES, context_dim=32, feature_dim=24)
ANALYSIS_TOOLS = Path(__file__).parents[2] / 'tools' / 'analysis_tools'


def expert(adapter=None, seed=0, **fields):
    torch.manual_seed(seed)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        model = WholeBodyExpert(backbone=BACKBONE, head=HEAD, frozen_dtype='fp32', **fields,
                                adapter=None if adapter is None else dict(SIZES, **adapter, type='BodyAdapter'))
    with torch.no_grad():
        for size in model.head.boxes.to_size.values():
            size[-1].bias.fill_(4.0)  # cells; untrained boxes have no area, and no hand would be there
    return model.eval()


def awake(adapter, seed=0):
    """The adapter as training leaves it: nothing is zero."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in adapter.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    return adapter


def crops(batch=3, seed=1):
    return torch.rand(batch, 3, 256, 192, generator=torch.Generator().manual_seed(seed))


def hands(batch=3, seed=2, channels=32, projected=24):
    """Two hands a crop in the middle of it, with predicted joints well inside their maps."""
    generator = torch.Generator().manual_seed(seed)
    boxes = torch.tensor([[10.0, 60, 90, 140], [100, 80, 180, 160]]) + 4 * torch.rand(batch, 2, 4, generator=generator)
    return HandMaps(torch.randn(2 * batch, channels, 16, 16, generator=generator),
                    torch.randn(2 * batch, projected, 16, 16, generator=generator).relu(),
                    1 + 13 * torch.rand(2 * batch, 20, 3, generator=generator), boxes)


def annotated(maps, flag=1.0):
    """Guidance whose joints are the predicted ones, in cells of the body's map."""
    frame = BodyFrame()
    points = frame.mirror_left_hands(torch.stack(maps.joints[..., :2].chunk(2), dim=1))
    points = frame.cells_from_box(points, maps.boxes)
    batch = len(points)
    return dict(hand_joints=torch.cat((points, torch.full((batch, 2, 20, 1), flag)), dim=3), has_hands=torch.ones(batch, 2))


@pytest.mark.parametrize('switches, count', [
    (dict(), 36_508_292), (dict(conv='per_hand'), 37_164_164), (dict(conv='frozen', ffn_hidden=(1024, 1024)), 36_902_020),
    (dict(conv='frozen', ffn_hidden=(2048,)), 37_037_188), (dict(root=False), 36_502_142), (dict(ffn_hidden=()), 35_458_692),
    (dict(joint_embedding=True), 36_508_292 + 8 * 512)])
def test_full_size_counts_of_every_reading(switches, count):
    with torch.device('meta'):
        adapter = BodyAdapter(**switches)
    assert sum(p.numel() for p in adapter.parameters()) == count


@pytest.mark.parametrize('switches', [dict(), dict(conv='per_hand', joint_embedding=True), dict(conv='frozen'),
                                      dict(root=False)])
def test_training_starts_at_the_base_bit_for_bit(switches):
    base, adapted = expert(), expert(switches, trainable=['adapter'])
    with torch.no_grad():
        adapted.adapter.to_offset[0].bias += 1.0  # whatever the rest does
        expected, found = base(crops()), adapted(crops())
        assert all(torch.equal(expected[name], found[name]) for name in expected)
        guidance = BaseDataElement(hand_joints=6 + torch.rand(3, 2, 20, 3), has_hands=torch.ones(3, 2))
        found = adapted.train()(crops(), HMRDataSample(guidance=guidance))
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_an_awake_adapter_changes_root_and_body_and_nothing_before_them():
    base, adapted = expert()(crops()), expert(dict())
    awake(adapted.adapter)
    found = adapted(crops())
    changed = {name for name in base if not torch.equal(base[name], found[name])}
    assert changed == {'global_orient', 'body_pose', 'pose'}
    without_root = expert(dict(root=False))
    awake(without_root.adapter)
    found = without_root(crops())
    assert torch.equal(found['global_orient'], base['global_orient']) and not torch.equal(found['body_pose'], base['body_pose'])


def test_whole_crops_and_what_is_read_of_them_give_the_same():
    model = expert()
    whole = torch.zeros(2, 3, 512, 384)
    whole[..., ::2, ::2] = crops(2)
    assert torch.equal(model(whole)['pose'], model(crops(2))['pose'])
    with pytest.raises(ValueError, match=r'images are \(300, 192\)'):
        model(torch.zeros(1, 3, 300, 192))


def test_annotated_joints_in_training_and_predicted_ones_in_the_test():
    adapter, maps = awake(BodyAdapter(**OWN)), hands()
    guidance = annotated(maps)
    torch.testing.assert_close(adapter.train().offset(maps, guidance), adapter.eval().offset(maps), atol=1e-4, rtol=1e-4)
    moved = dict(guidance, hand_joints=guidance['hand_joints'] + torch.tensor((0.3, 0.2, 0)))
    assert torch.equal(adapter.eval().offset(maps, moved), adapter.offset(maps))
    assert (adapter.train().offset(maps, moved) - adapter.offset(maps, guidance)).abs().max() > 1e-3
    other = awake(BodyAdapter(train_joints='predicted', test_joints='annotation', **OWN))
    assert torch.equal(other.train().offset(maps, moved), other.offset(maps))
    assert not torch.equal(other.eval().offset(maps, moved), other.offset(maps, guidance))


def test_joints_that_another_expert_read_stand_in_for_predicted_ones():
    adapter, maps = awake(BodyAdapter(**OWN)).eval(), hands()
    own = adapter.offset(maps)
    read = annotated(maps)['hand_joints']
    torch.testing.assert_close(adapter.offset(maps, dict(read_joints=read)), own, atol=1e-4, rtol=1e-4)
    elsewhere = read.clone()
    elsewhere[..., :2] += 0.3
    assert torch.equal(adapter.offset(maps, dict(read_joints=elsewhere * torch.tensor((1.0, 1, 0)))), own)  # none is flagged
    moved = adapter.offset(maps, dict(read_joints=elsewhere))
    there = BodyAdapter(**OWN, test_joints='annotation').eval()
    there.load_state_dict(adapter.state_dict())
    torch.testing.assert_close(moved, there.offset(maps, dict(hand_joints=elsewhere)), atol=1e-4, rtol=1e-4)
    assert (moved - own).abs().max() > 1e-3


def test_without_joints_no_knuckle_is_seen():
    adapter, blind = (awake(BodyAdapter(**OWN, test_joints=joints)).eval() for joints in ('predicted', 'none'))
    maps = hands()
    assert torch.equal(blind.offset(maps), adapter.offset(maps, dict(has_hands=torch.zeros(3, 2))))
    assert not torch.equal(blind.offset(maps), adapter.offset(maps))


def test_annotation_that_is_not_there_is_named():
    with pytest.raises(ValueError, match="train_joints is 'annotation', but .*HeatmapTargets"):
        BodyAdapter(**OWN).train().offset(hands())
    with pytest.raises(ValueError, match="conv is 'shared'; it must be one of"):
        BodyAdapter(conv='shared')


@pytest.mark.parametrize('conv', ['own', 'per_hand'])
def test_sampling_before_the_convolution_is_sampling_after_it(conv):
    """The paper's order, written out."""
    adapter, maps = awake(BodyAdapter(conv=conv, **OWN)).eval(), hands()
    points, seen = adapter.knuckles(maps, {})
    assert seen.all()
    convolved = [F.conv2d(side, adapter.convs[i].weight[:, :, None, None], adapter.convs[i].bias)
                 for side, i in zip(maps.features.chunk(2), (0, -1), strict=True)]
    after = [adapter.sample(side, at) for side, at in zip(convolved, points.unbind(1), strict=True)]
    torch.testing.assert_close(adapter.keys(maps, points), torch.cat(after, dim=1), atol=1e-5, rtol=1e-5)


def test_the_frozen_convolution_gives_the_reference_s_knuckle_features(parity_file):
    folder = parity_file('smplerx/network.npz').parent
    sys.path.insert(0, str(ANALYSIS_TOOLS))
    try:
        from parity.smplerx_network import build_network
    finally:
        sys.path.pop(0)
    model = build_network(folder)
    adapter = BodyAdapter(conv='frozen', **SIZES, **model.head.sizes).eval()
    with np.load(folder / 'network.npz') as data:
        images, expected = (torch.from_numpy(data[name]) for name in ('image_uint8', 'mcp_feat'))
    noise = json.loads((folder / 'tolerance.json').read_text())['mcp_feat']['max_abs_f32_minus_f64']
    seen_by_adapter = []
    adapter.offset = lambda maps, guidance: seen_by_adapter.append(maps) or torch.zeros(len(images), 132)
    model.adapter = adapter
    with torch.no_grad():
        model(model.data_preprocessor(dict(inputs=images.permute(0, 3, 1, 2)))['inputs'])
        points, _ = adapter.knuckles(seen_by_adapter[0], {})
        keys = adapter.keys(seen_by_adapter[0], points)
    torch.testing.assert_close(keys, expected, rtol=0, atol=5 * noise + 2e-6)


# ---- what is missing ---------------------------------------------------------------------------------------------------------
def test_a_missing_hand_is_masked_whatever_is_at_its_place():
    adapter, maps = awake(BodyAdapter(joint_embedding=True, **OWN)), hands()
    guidance = annotated(maps)
    guidance['has_hands'][:, 0] = 0
    offset = adapter.offset(maps, guidance)
    left = maps.features.clone()
    left[:3] = 100 * torch.randn(3, 32, 16, 16)
    junk = guidance['hand_joints'].clone()
    junk[:, 0] = float('nan')
    assert torch.equal(adapter.offset(maps._replace(features=left), dict(guidance, hand_joints=junk)), offset)
    points, seen = adapter.knuckles(maps, guidance)
    alone = adapter.keys(maps, points)[:, 4:]
    torch.testing.assert_close(adapter.to_offset(adapter.read(alone, torch.ones(3, 4, dtype=torch.bool))), offset)
    assert seen[:, 1].all() and not seen[:, 0].any()


def test_without_hands_the_offset_is_the_same_for_every_picture():
    adapter, maps = awake(BodyAdapter(**OWN)), hands()
    guidance = dict(annotated(maps), has_hands=torch.zeros(3, 2))
    offset = adapter.offset(maps, guidance)
    assert torch.equal(offset, adapter.offset(hands(seed=9), guidance)) and torch.equal(offset[:1].expand(3, -1), offset)
    for layer in adapter.layers:  # the cross-attention adds nothing, not even its bias
        layer.cross_attn.to_out.bias.data += 1
    assert torch.equal(offset, adapter.offset(maps, guidance))
    offset.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in adapter.parameters())
    assert adapter.convs[0].weight.grad.abs().max() == 0 and adapter.to_offset[0].weight.grad.abs().max() > 0


def test_a_hand_of_one_sample_is_missing_for_that_sample_alone():
    adapter, maps = awake(BodyAdapter(**OWN)), hands()
    guidance = annotated(maps)
    whole = adapter.offset(maps, guidance)
    guidance['has_hands'][1] = 0
    part = adapter.offset(maps, guidance)
    torch.testing.assert_close(part[[0, 2]], whole[[0, 2]])
    assert (part[1] - whole[1]).abs().max() > 1e-3


@pytest.mark.parametrize('where, gone', [((float('nan'), 3.0), True), ((-0.1, 8.0), True), ((6.0, 15.9), True),
                                         ((2.5, 6.0), False)])
def test_annotated_knuckles_outside_of_crop_or_box_have_no_feature(where, gone):
    """Boxes of the left hands cover cells 0.6 to 5.6 in x and 3.8 to 8.8 in y."""
    adapter, maps = BodyAdapter(**OWN), hands()
    guidance = annotated(maps)
    guidance['hand_joints'][:, 0, HAND20_MCP[1], :2] = torch.tensor(where)
    points, seen = adapter.knuckles(maps, guidance)
    expected = torch.ones(3, 2, 4, dtype=torch.bool)
    expected[:, 0, 1] = not gone
    assert torch.equal(seen, expected) and points.isfinite().all()


def test_predicted_knuckles_outside_of_the_crop_and_boxes_without_area():
    adapter, maps = BodyAdapter(**OWN).eval(), hands()
    boxes = maps.boxes.clone()
    boxes[0, 0] += torch.tensor((-100.0, 0, -100, 0))  # left of the crop
    boxes[1, 1, 2:] = boxes[1, 1, :2]                  # a point
    boxes[2, 1, [1, 3]] = boxes[2, 1, [3, 1]]          # turned inside out
    _, seen = adapter.knuckles(maps._replace(boxes=boxes), {})
    assert seen.all(2).tolist() == [[False, True], [True, False], [True, False]]
    assert seen.any(2).tolist() == [[False, True], [True, False], [True, False]]
    adapter.train()
    points, seen = adapter.knuckles(maps._replace(boxes=boxes), annotated(maps))
    assert points.isfinite().all() and not seen[1, 1].any() and not seen[2, 1].any()


def test_unlabelled_knuckles_are_masked_one_by_one():
    adapter, maps = BodyAdapter(**OWN), hands()
    guidance = annotated(maps)
    guidance['hand_joints'][1, 1, HAND20_MCP[2], 2] = 0
    seen = adapter.knuckles(maps, guidance)[1]
    assert (~seen).nonzero().tolist() == [[1, 1, 2]]


@pytest.mark.parametrize('fused', [True, False])
def test_masked_attention_is_attention_over_what_is_seen(fused):
    torch.manual_seed(0)
    attention = CrossAttention(24, 16, heads=2, head_dim=8, fused=fused)
    tokens, context = torch.randn(3, 2, 24), torch.randn(3, 5, 16)
    seen = torch.tensor([[1, 1, 1, 1, 1], [0, 1, 0, 1, 1], [0, 0, 0, 0, 0]]).bool()
    update = attention(tokens, context, seen)
    torch.testing.assert_close(update[:1], attention(tokens[:1], context[:1]))
    torch.testing.assert_close(update[1:2], attention(tokens[1:2], context[1:2, seen[1]]))
    assert torch.equal(update[2], torch.zeros(2, 24))


# ---- mirror, learning, files -------------------------------------------------------------------------------------------------
def mirrored(maps, guidance):
    """The same person in a mirror: hands change sides; stored as right hands, their maps stay what they are."""
    frame = BodyFrame()
    swap = lambda x: torch.cat(x.chunk(2)[::-1])  # noqa: E731
    boxes = maps.boxes.flip(1)[..., [2, 1, 0, 3]]
    boxes[..., [0, 2]] = frame.img_size[1] - boxes[..., [0, 2]]
    # the continuous mirror of boxes and their cells: x -> 12 cells - x; within a hand's map x -> 15 - x moves by one cell
    joints = guidance['hand_joints'].flip(1).clone()
    cell = (boxes[..., 2] - boxes[..., 0]) / frame.cell[0] / frame.hand_map_size[2]
    joints[..., 0] = frame.map_size[2] - joints[..., 0] - cell[..., None]
    return (HandMaps(swap(maps.features), swap(maps.projected), swap(maps.joints), boxes), dict(guidance, hand_joints=joints))


@pytest.mark.parametrize('switches, tells_sides', [(dict(), False), (dict(conv='frozen'), False), (dict(conv='per_hand'), True),
                                                   (dict(joint_embedding=True), True)])
@pytest.mark.parametrize('training', [True, False])
def test_in_a_mirror_the_papers_reading_gives_the_same_offset(switches, tells_sides, training):
    """A left hand is stored as a right one and the order of keys is invisible: the adapter sees the same eight features and
    cannot know that the offset should be the mirrored one. Convolutions or codes of the sides tell it."""
    adapter, maps = awake(BodyAdapter(**switches, **OWN)).train(training), hands()
    guidance = annotated(maps)
    offset, other = adapter.offset(maps, guidance), adapter.offset(*mirrored(maps, guidance))
    assert ((offset - other).abs().max() > 1e-2) == tells_sides
    if not tells_sides:
        torch.testing.assert_close(other, offset, atol=2e-4, rtol=2e-4)


@pytest.mark.parametrize('embedding', [False, True])
def test_the_order_of_keys_is_visible_only_with_an_embedding(embedding):
    adapter, maps = awake(BodyAdapter(joint_embedding=embedding, **OWN)).eval(), hands()
    joints = maps.joints.clone()
    joints[:, HAND20_MCP] = maps.joints[:, HAND20_MCP[::-1]]
    difference = (adapter.offset(maps) - adapter.offset(maps._replace(joints=joints))).abs().max()
    assert (difference > 1e-2) == embedding


def test_the_first_step_moves_the_last_layer_and_q_and_k_never_learn():
    model = expert(dict(), trainable=['adapter']).train()
    guidance = BaseDataElement(hand_joints=torch.cat((6 + torch.rand(3, 2, 20, 2), torch.ones(3, 2, 20, 1)), dim=3),
                               has_hands=torch.ones(3, 2))

    def gradients():
        model.zero_grad()
        model(crops(), HMRDataSample(guidance=guidance))['body_pose'].sum().backward()
        return {name: p.grad for name, p in model.named_parameters() if p.requires_grad}

    first = gradients()
    assert {name for name, grad in first.items() if grad.any()} == {'adapter.to_offset.2.weight', 'adapter.to_offset.2.bias'}
    awake(model.adapter)
    later = gradients()
    assert {name for name, grad in later.items() if not grad.any()} == {'adapter.to_token.weight'}  # of a zero
    for layer in range(2):
        grad = later[f'adapter.layers.{layer}.self_attn.to_qkv.weight']
        assert not grad[:64].any() and grad[64:].any()


def test_frozen_means_frozen_and_the_file_round_trip(tmp_path):
    model = expert(dict(), trainable=['adapter']).train()
    assert {name.split('.')[0] for name, p in model.named_parameters() if p.requires_grad} == {'adapter'}
    assert model.adapter.training and not any(m.training for m in (*model.backbone.modules(), *model.head.modules()))
    awake(model.adapter)
    path = save_adapter(model, tmp_path)
    again = expert(dict(), adapter_file=str(path))
    assert torch.equal(model.eval()(crops())['pose'], again(crops())['pose'])
    with pytest.raises(AdapterMismatchError, match='convs.1'):
        load_adapter(expert(dict(conv='per_hand')), path)


def test_boxes_that_are_lines_leave_finite_gradients():
    """As an untrained expert has them."""
    joints = (8 * torch.rand(2, 137, 2)).requires_grad_()
    boxes = torch.tensor([[[10.0, 20, 10, 60], [0, 0, 64, 64]], [[5, 5, 5, 5], [70, 30, 90, 30]]])
    moved, seen = move_hands_into_boxes(joints, torch.ones(2, 137), boxes, BodyFrame())
    assert moved.isfinite().all() and seen[:, 25:45].sum() == seen[1, 45:65].sum() == 0 and seen[0, 45:65].any()
    (moved * seen.unsqueeze(2)).sum().backward()
    assert joints.grad.isfinite().all() and not joints.grad[:, 25:45].any()


def test_a_step_on_every_loss_teaches_the_adapter_alone(open_body_models):
    """Eq. 7 and 8 on a random expert whose boxes have no area: losses fall, and what is frozen stays."""
    losses = dict(joints_img=1, joints_proj=1, joints_3d=100, part_joints_3d=100, pose=10, betas=1)
    body_model = dict(type='SMPLXLayer', model_path=str(open_body_models / 'smplx'))
    model = expert(dict(), trainable=['adapter'], body_model=body_model,
                   losses={name: dict(type='MaskedL1Loss', weight=weight) for name, weight in losses.items()}).train()
    with torch.no_grad():
        for size in model.head.boxes.to_size.values():
            size[-1].weight.zero_()
            size[-1].bias.zero_()
    frozen = state_hash(model.frozen_state())
    sys.path.insert(0, str(ANALYSIS_TOOLS))
    try:
        from benchmarks.experts import make_batch
    finally:
        sys.path.pop(0)
    inputs, batch = make_batch(model, 2, torch.device('cpu'))
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-3)
    totals = []
    for _ in range(5):
        optimizer.zero_grad()
        terms = model(inputs, batch, mode='loss')
        sum(terms.values()).backward()
        assert all(p.grad.isfinite().all() for p in model.adapter.parameters())
        optimizer.step()
        totals.append(sum(terms.values()).item())
    assert totals[-1] < totals[0] and state_hash(model.frozen_state()) == frozen
    assert not terms['loss_joints_img'].requires_grad and not terms['loss_betas'].requires_grad  # frozen, hence constant
