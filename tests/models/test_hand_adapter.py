"""Laws of the hand adapter: how it starts, what it sees, what never learns, what it costs."""
import warnings

import pytest
import torch
from mmengine.structures import BaseDataElement

from hmradapter.models.adapters import AdapterMismatchError, HandAdapter, load_adapter, save_adapter
from hmradapter.models.estimators import HandExpert
from hmradapter.structures import HMRDataSample
from hmradapter.structures.joints import ARM_CHAIN

BACKBONE = dict(type='HaMeRViT', img_size=(64, 48), patch_size=16, embed_dim=32, depth=2, num_heads=2)
HEAD = dict(type='MANODecoderHead', context_dim=32, dim=48, depth=2, heads=2, head_dim=16, mlp_dim=32)
FULL_BACKBONE = dict(type='HaMeRViT')
FULL_HEAD = dict(type='MANODecoderHead')


def expert(seed=0, **fields):
    torch.manual_seed(seed)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        return HandExpert(backbone=BACKBONE, head=HEAD, frozen_dtype='fp32', **fields).eval()


def guided(batch=3, seed=0, has=1.0):
    generator = torch.Generator().manual_seed(seed)
    rotmats = torch.linalg.qr(torch.randn(batch, 22, 3, 3, generator=generator))[0]
    rotmats = rotmats * torch.linalg.det(rotmats)[..., None, None]
    return HMRDataSample(guidance=BaseDataElement(body_pose=rotmats, has_body_pose=torch.full((batch,), has)))


def images(batch=3, seed=1):
    return torch.randn(batch, 3, 64, 64, generator=torch.Generator().manual_seed(seed))


def test_scale_zero_is_the_base_bit_for_bit():
    base = expert()(images(), guided())
    adapted = expert(adapter=dict(type='HandAdapter', scale=0.0))(images(), guided())
    assert all(torch.equal(base[name], adapted[name]) for name in base)


def test_zero_gate_starts_at_the_base_and_the_papers_start_does_not():
    base = expert()(images(), guided())
    gated = expert(adapter=dict(type='HandAdapter', zero_gate=True))(images(), guided())
    copied = expert(adapter=dict(type='HandAdapter'))(images(), guided())
    assert all(torch.equal(base[name], gated[name]) for name in base)
    assert (base['betas'] - copied['betas']).abs().max() > 1e-5


def test_blocks_start_as_copies_of_the_experts_attention():
    model = expert(adapter=dict(type='HandAdapter', own_norms=True))
    for block, layer in zip(model.adapter.blocks, model.head.layers, strict=True):
        for part in ('self_attn', 'cross_attn', 'norm_sa', 'norm_ca'):
            own, source = getattr(block, part).state_dict(), getattr(layer, part).state_dict()
            assert own and all(torch.equal(own[name], source[name]) for name in source)


@pytest.mark.parametrize('embedding, order_matters', [(False, False), (True, True)])
def test_joint_order_is_visible_only_with_an_embedding(embedding, order_matters):
    model = expert(adapter=dict(type='HandAdapter', joint_embedding=embedding))
    if embedding:
        torch.nn.init.normal_(model.adapter.joint_embedding)
    batch = guided()
    arm = list(ARM_CHAIN['right'])
    permuted = batch.map(torch.clone)
    permuted.guidance.body_pose[:, arm] = batch.guidance.body_pose[:, arm[::-1]]
    difference = (model(images(), batch)['betas'] - model(images(), permuted)['betas']).abs().max()
    assert (difference > 1e-5) == order_matters


def test_only_the_arm_group_guides():
    model, batch = expert(adapter=dict(type='HandAdapter')), guided()
    legs = batch.map(torch.clone)
    others = [joint for joint in range(22) if joint not in ARM_CHAIN['right']]
    legs.guidance.body_pose[:, others] = torch.eye(3)
    assert torch.equal(model(images(), batch)['betas'], model(images(), legs)['betas'])
    whole = expert(adapter=dict(type='HandAdapter', joints='body'))
    assert not torch.equal(whole(images(), batch)['betas'], whole(images(), legs)['betas'])


def test_missing_body_pose_gives_equal_keys_that_still_add_something():
    model = expert(adapter=dict(type='HandAdapter'))
    batch = guided(has=0.0)
    tokens = model.adapter.encode(batch.guidance.body_pose, batch.guidance.has_body_pose)
    assert torch.equal(tokens, model.adapter.project.bias.expand_as(tokens))
    assert not torch.equal(model(images(), batch)['betas'], expert()(images(), batch)['betas'])


def test_query_and_key_rows_of_the_new_self_attention_never_learn():
    model = expert(adapter=dict(type='HandAdapter'), trainable=['adapter'])
    pred = model(images(), guided())
    sum(value.sum() for value in pred.values()).backward()
    inner = 2 * 16
    for block in model.adapter.blocks:
        grad = block.self_attn.to_qkv.weight.grad
        assert grad[:2 * inner].abs().max() == 0
        assert grad[2 * inner:].abs().max() > 0


def test_frozen_means_frozen_and_in_eval_mode():
    model = expert(adapter=dict(type='HandAdapter'), trainable=['adapter']).train()
    assert {name.split('.')[0] for name, p in model.named_parameters() if p.requires_grad} == {'adapter'}
    assert model.adapter.training and not model.backbone.training and not model.head.training
    frozen = {f'{part}.{name}' for part in ('backbone', 'head') for name in getattr(model, part).state_dict()}
    unsaved = {'data_preprocessor.mean', 'data_preprocessor.std'}
    assert {name for name, _ in model.frozen_state()} == frozen | unsaved


def test_an_unknown_trainable_part_is_refused_by_name():
    with pytest.raises(ValueError, match="trainable names 'adaptor'.*adapter"):
        expert(adapter=dict(type='HandAdapter'), trainable=['adaptor'])


@pytest.mark.parametrize('own_norms, count', [(False, 26_759_936), (True, 26_784_512)])
def test_full_size_counts_are_the_papers(own_norms, count):
    with torch.device('meta'):
        adapter = HandAdapter(own_norms=own_norms)
    assert sum(p.numel() for p in adapter.parameters()) == count


def test_adapter_file_round_trip_and_wrong_base(tmp_path):
    model = expert(adapter=dict(type='HandAdapter'), trainable=['adapter'])
    torch.nn.init.normal_(model.adapter.project.weight)
    path = save_adapter(model, tmp_path, config='text')
    again = expert(adapter=dict(type='HandAdapter'), adapter_file=str(path))
    assert torch.equal(model(images(), guided())['betas'], again(images(), guided())['betas'])
    assert (tmp_path / 'adapter.json').read_text().count('base_hash') == 1
    other = expert(seed=1, adapter=dict(type='HandAdapter'))
    with pytest.raises(AdapterMismatchError, match=f'{model.base_hash}.*{other.base_hash}'):
        load_adapter(other, path)


def test_adapter_of_another_architecture_is_refused(tmp_path):
    path = save_adapter(expert(adapter=dict(type='HandAdapter')), tmp_path)
    with pytest.raises(AdapterMismatchError, match='joint_embedding'):
        load_adapter(expert(adapter=dict(type='HandAdapter', joint_embedding=True)), path)
    with pytest.raises(AdapterMismatchError, match='without an adapter'):
        load_adapter(expert(), path)


def test_random_weights_are_announced():
    with pytest.warns(UserWarning, match='RANDOM WEIGHTS'):
        HandExpert(backbone=BACKBONE, head=HEAD)
