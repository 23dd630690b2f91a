"""SMPLer-X's released files: every key has one name here, whole files load strictly, all others are refused by their keys."""
import copy
import importlib
import os
import re
import warnings
from pathlib import Path

import pytest
import torch

from hmradapter.fileio import UnsafeFileError, load_torch
from hmradapter.models.estimators import WholeBodyExpert
from hmradapter.models.expert_layouts import SMPLERX
from hmradapter.models.expert_weights import ExpertWeightsError, expert_hash, expert_state, load_expert

CONVERTERS = Path(__file__).parents[2] / 'tools' / 'model_converters'
# As of smpler_x_h32.pth.tar, whose table is longer than its rules: a name, its shape for width C, and how often it occurs.
C = 1280
TABLE = """
encoder.task_tokens 1,31,C | encoder.pos_embed 1,193,C
encoder.patch_embed.proj.weight C,3,16,16 | encoder.patch_embed.proj.bias C
encoder.blocks.*.norm1.weight C | encoder.blocks.*.norm1.bias C
encoder.blocks.*.norm2.weight C | encoder.blocks.*.norm2.bias C
encoder.blocks.*.attn.qkv.weight 3C,C | encoder.blocks.*.attn.qkv.bias 3C
encoder.blocks.*.attn.proj.weight C,C | encoder.blocks.*.attn.proj.bias C
encoder.blocks.*.mlp.fc1.weight 4C,C | encoder.blocks.*.mlp.fc1.bias 4C
encoder.blocks.*.mlp.fc2.weight C,4C | encoder.blocks.*.mlp.fc2.bias C | encoder.last_norm.weight C | encoder.last_norm.bias C
body_position_net.conv.0.weight 400,C,1,1 | body_position_net.conv.0.bias 400
body_regressor.body_conv.0.weight 512,C | body_regressor.body_conv.0.bias 512
body_regressor.root_pose_out.0.weight 6,12875 | body_regressor.root_pose_out.0.bias 6
body_regressor.body_pose_out.0.weight 126,12875 | body_regressor.body_pose_out.0.bias 126
body_regressor.shape_out.0.weight 10,C | body_regressor.shape_out.0.bias 10
body_regressor.cam_out.0.weight 3,C | body_regressor.cam_out.0.bias 3
box_net.deconv.0.weight C+400,256,4,4 | box_net.deconv.3.weight 256,256,4,4 | box_net.deconv.6.weight 256,256,4,4
box_net.deconv.1 bn256 | box_net.deconv.4 bn256 | box_net.deconv.7 bn256
box_net.bbox_center.0.weight 3,256,1,1 | box_net.bbox_center.0.bias 3
box_net.lhand_size.0.weight 256,256 | box_net.lhand_size.0.bias 256
box_net.lhand_size.2.weight 2,256 | box_net.lhand_size.2.bias 2
box_net.rhand_size.0.weight 256,256 | box_net.rhand_size.0.bias 256
box_net.rhand_size.2.weight 2,256 | box_net.rhand_size.2.bias 2
box_net.face_size.0.weight 256,256 | box_net.face_size.0.bias 256
box_net.face_size.2.weight 2,256 | box_net.face_size.2.bias 2
hand_roi_net.deconv.0.weight C,C/2,4,4 | hand_roi_net.deconv.3.weight C/2,C/4,4,4
hand_roi_net.deconv.1 bnC/2 | hand_roi_net.deconv.4 bnC/4
hand_roi_net.conv.0.weight C,C/4,1,1 | hand_roi_net.conv.0.bias C
hand_position_net.conv.0.weight 320,C,1,1 | hand_position_net.conv.0.bias 320
hand_regressor.hand_conv.0.weight 512,C,1,1 | hand_regressor.hand_conv.0.bias 512 | hand_regressor.hand_conv.1 bn512
hand_regressor.hand_pose_out.0.weight 90,10300 | hand_regressor.hand_pose_out.0.bias 90
face_regressor.expr_out.0.weight 10,C | face_regressor.expr_out.0.bias 10
face_regressor.jaw_pose_out.0.weight 6,C | face_regressor.jaw_pose_out.0.bias 6
"""


def released_keys(width: int, depth: int) -> dict[str, tuple[int, ...]]:
    """Shape by name of the released model of that width, without `module.`."""
    def size(text: str) -> int:
        text = re.sub(r'(\d)C', r'\1*C', text).replace('/', '//')
        return int(eval(text, dict(C=width)))  # noqa: S307

    keys = {}
    for entry in TABLE.strip().replace('\n', '|').split('|'):
        name, shape = entry.split()
        if shape.startswith('bn'):
            channels = (size(shape[2:]),)
            keys.update({f'{name}.{part}': channels for part in ('weight', 'bias', 'running_mean', 'running_var')},
                        **{f'{name}.num_batches_tracked': ()})
            continue
        for number in range(depth if '*' in name else 1):
            keys[name.replace('*', str(number))] = tuple(size(part) for part in shape.split(','))
    return keys


def expert(width=8, depth=2, seed=0, device='cpu'):
    torch.manual_seed(seed)
    with warnings.catch_warnings(), torch.device(device):
        warnings.simplefilter('ignore')
        return WholeBodyExpert(backbone=dict(type='SMPLerXViT', embed_dim=width, depth=depth, num_heads=2),
                               head=dict(type='SMPLerXHead', context_dim=width))


def released_file(path, model, change=lambda state: state, **beside):
    """A checkpoint as SMPLer-X saves it, from our model's weights."""
    state = {f'module.{SMPLERX.theirs(name)}': tensor.clone() for name, tensor in expert_state(model).items()}
    state['module.smplx_layer.v_template'] = torch.zeros(3)
    torch.save(dict(epoch=4, network=change(state), optimizer=dict(state={0: dict(step=1)}, param_groups=[]), **beside), path)
    return path


@pytest.fixture
def convert(monkeypatch, capsys):
    """Exit status and text of a converter, run in this process."""
    monkeypatch.syspath_prepend(str(CONVERTERS))

    def run(*args, tool='convert_smplerx'):
        module = importlib.import_module(tool)
        status = module.main(module.FAMILY, module.__doc__, '', [str(arg) for arg in args])
        return status, ''.join(capsys.readouterr())
    return run


@pytest.mark.parametrize('width, depth', [(384, 12), (768, 12), (1024, 24), (1280, 32)])
def test_every_key_of_the_released_models_has_one_name_here(width, depth):
    released = released_keys(width, depth)
    ours = {name: tuple(tensor.shape) for name, tensor in expert_state(expert(width, depth, device='meta')).items()}
    assert len(released) == (463 if depth == 32 else 463 - 12 * (32 - depth))
    assert {SMPLERX.ours(f'module.{name}'): shape for name, shape in released.items()} == ours
    assert {SMPLERX.theirs(name): shape for name, shape in ours.items()} == released


def older_names(state):
    """As SMPLer-X wrote them before they were renamed."""
    names = (('encoder.', 'backbone.'), ('body_regressor.', 'body_rotation_net.'), ('hand_regressor.', 'hand_rotation_net.'))
    for new, old in names:
        state = {name.replace(f'module.{new}', f'module.{old}'): tensor for name, tensor in state.items()}
    return state


@pytest.mark.parametrize('change', [lambda state: state, older_names,
                                    lambda state: {name.removeprefix('module.'): tensor for name, tensor in state.items()}],
                         ids=['as released', 'older names', 'not distributed'])
def test_the_file_loads_by_path_and_converted_and_gives_the_same_expert(tmp_path, convert, change):
    source = expert()
    path = released_file(tmp_path / 'smpler_x_tiny.pth.tar', source, change)
    direct, converted = expert(seed=1), expert(seed=2)
    assert [name.removeprefix('module.') for name in load_expert(direct, path)] == ['smplx_layer.v_template']
    status, said = convert(path, tmp_path / 'out.safetensors')
    assert status == 0 and 'not those of a released SMPLer-X' in said and '1 keys' in said
    assert load_expert(converted, tmp_path / 'out.safetensors') == []
    assert expert_hash(source) == expert_hash(direct) == expert_hash(converted) != expert_hash(expert(seed=1))
    images = torch.rand(1, 3, 256, 192)
    with torch.no_grad():
        assert torch.equal(source.eval()(images)['pose'], converted.eval()(images)['pose'])


@pytest.mark.parametrize('change, words', [
    (lambda state: state.pop('module.hand_roi_net.conv.0.bias'), r'1 missing: head\.hand_roi\.conv\.bias'),
    (lambda state: state.pop('module.encoder.task_tokens'), r'1 missing: backbone\.task_tokens|task_tokens'),
    (lambda state: state.update({'module.encoder.blocks.7.norm1.weight': torch.zeros(8)}), r'backbone\.blocks\.7'),
    (lambda state: state.update({'module.body_regressor.cam_out.0.bias': torch.zeros(4)}), r'1 mis-shaped: head\.body_rot'),
    (lambda state: state.update({'module.hand_decoder.layers.0.weight': torch.zeros(4)}),
     r'1 keys that SMPLer-X does not have: module\.hand_decoder\.layers\.0\.weight'),
    (lambda state: state.update({'encoder.pos_embed': torch.zeros(1, 193, 8)}), r'names some tensors twice')])
def test_another_layout_is_refused_with_its_first_differing_keys(tmp_path, convert, change, words):
    path = released_file(tmp_path / 'other.pth.tar', expert(), lambda state: (change(state), state)[1])
    model = expert(seed=1)
    before = copy.deepcopy(expert_state(model))
    with pytest.raises(ExpertWeightsError, match=f'other.pth.tar.*({words})'):
        load_expert(model, path)
    assert all(torch.equal(before[name], tensor) for name, tensor in expert_state(model).items())
    assert convert(path, tmp_path / 'out.safetensors')[0] == 1 and not (tmp_path / 'out.safetensors').exists()


def test_an_encoder_alone_says_what_is_missing(tmp_path, convert):
    path = released_file(tmp_path / 'encoder.pth.tar', expert(),
                         lambda state: {name: tensor for name, tensor in state.items() if 'encoder' in name})
    with pytest.raises(ExpertWeightsError, match=r'73 missing: head\.body_position\.conv\.bias, head\.body_position'):
        load_expert(expert(), path)
    assert convert(path, tmp_path / 'out.safetensors')[0] == 1


def test_a_lost_last_layer_of_a_released_width_is_noticed(tmp_path, convert):
    path = released_file(tmp_path / 'cut.pth.tar', expert(384, 1))
    status, said = convert(path, tmp_path / 'out.safetensors')
    assert status == 1 and '132 missing: backbone.blocks.1.' in said


def test_the_converters_refuse_each_others_files(tmp_path, convert, parity_file):
    path = released_file(tmp_path / 'tiny.pth.tar', expert())
    for tool, file, title in (('convert_hamer', path, 'HaMeR'),
                              ('convert_smplerx', parity_file('hamer/small_eps.pt'), 'SMPLer-X')):
        status, said = convert(file, tmp_path / 'out.safetensors', tool=tool)
        assert status == 1 and f'is an expert, but not {title}' in said


class Malice:
    """Touches a file when unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f'touch {self.path}',)


def test_nothing_in_the_file_runs(tmp_path, convert):
    path = released_file(tmp_path / 'tiny.pth.tar', expert(), config=Malice(tmp_path / 'ran'))
    with pytest.raises(UnsafeFileError, match='tiny.pth.tar.*system'):
        load_expert(expert(), path)
    assert convert(path, tmp_path / 'out.safetensors')[0] == 1
    assert not (tmp_path / 'ran').exists()


def test_the_recorded_reference_file_converts(tmp_path, convert, parity_file):
    path = parity_file('smplerx/checkpoint.pth.tar')
    assert convert(path, tmp_path / 'out.safetensors')[0] == 0
    original, converted = expert(64), expert(64, seed=1)
    load_expert(original, path)
    load_expert(converted, tmp_path / 'out.safetensors')
    assert expert_hash(original) == expert_hash(converted)


def test_weights_stay_in_the_file_until_they_are_read(tmp_path):
    """A mapped tensor is written to privately, and gives what an unmapped one does."""
    torch.save(dict(a=torch.arange(4.0)), tmp_path / 'a.pth')
    mapped, plain = (load_torch(tmp_path / 'a.pth', mapped=flag)['a'] for flag in (True, False))
    assert torch.equal(mapped, plain)
    mapped += 1
    assert torch.equal(load_torch(tmp_path / 'a.pth')['a'], plain)
