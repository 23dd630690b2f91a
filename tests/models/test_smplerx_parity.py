"""The check of SMPLer-X's fixtures: on the recorded directory, a made-up one of other sizes, and arrays that are wrong."""
import json
import shutil
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from hmradapter.models.estimators import WholeBodyExpert
from hmradapter.models.expert_layouts import SMPLERX
from hmradapter.models.expert_weights import expert_state
from hmradapter.models.losses import BoxL1Loss, MaskedL1Loss, whole_body_terms

ANALYSIS_TOOLS = Path(__file__).parents[2] / 'tools' / 'analysis_tools'
ENCODER = dict(img_size=[256, 192], patch_size=16, ratio=1, embed_dim=48, depth=1, num_heads=3, mlp_ratio=2, qkv_bias=True,
               task_tokens_num=31)
SETTINGS = dict(upscale=2, input_img_shape=[512, 384], input_body_shape=[256, 192], output_hm_shape=[16, 16, 12],
                output_hand_hm_shape=[16, 16, 16], focal=[5000, 5000], princpt=[96.0, 128.0], body_3d_size=2,
                camera_3d_size=2.5, smplx_pose_weight=7.0, smplx_kps_3d_weight=50.0)


@pytest.fixture(scope='module')
def tools():
    """check_parity.py and its modules, in this process."""
    sys.path.insert(0, str(ANALYSIS_TOOLS))
    try:
        import check_parity
        from parity import smplerx_network
    finally:
        sys.path.pop(0)
    return check_parity, smplerx_network


def check(tools, folder, *parts, capsys):
    status = tools[0].main(['smplerx', '--dir', str(folder), '--only', *parts])
    return status, ''.join(capsys.readouterr())


@pytest.fixture(scope='module')
def made_up(tools, tmp_path_factory):
    """A directory with the recorded one's layout: another width, depth, batch, MLP, RoI scale, weights and seed."""
    folder = tmp_path_factory.mktemp('fixtures')
    torch.manual_seed(7)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        model = WholeBodyExpert(
            backbone=dict(type='SMPLerXViT', embed_dim=48, depth=1, num_heads=3, mlp_ratio=2),
            head=dict(type='SMPLerXHead', context_dim=48, hand_roi=dict(type='HandRoI', upscale=2)))
    with torch.no_grad():
        for size in model.head.boxes.to_size.values():
            size[-1].bias.copy_(torch.tensor((3.0, 4.0)))
    weights = {f'module.{SMPLERX.theirs(name)}': tensor for name, tensor in expert_state(model).items()}
    torch.save(dict(epoch=0, network=weights, optimizer={}), folder / 'checkpoint.pth.tar')
    (folder / 'config.json').write_text(json.dumps(dict(seed=7, batch=1, encoder=ENCODER, feat_dim=48, settings=SETTINGS)))
    (folder / 'tolerance.json').write_text('{}')
    images = np.random.default_rng(7).integers(0, 256, (1, 512, 384, 3), dtype=np.uint8)
    network = tools[1]
    values = kept_values(network, network.build_network(folder), torch.from_numpy(images))
    np.savez(folder / 'network.npz', image_uint8=images, **values)
    np.savez(folder / 'losses.npz', **losses(network, network.build_network(folder), torch.from_numpy(images)))
    return folder


@torch.no_grad()
def kept_values(network, model, images) -> dict:
    values = network.network_values(model, images)
    kept = {name: value for name, value in values.items() if name not in ('body_joint_hm', 'bbox_center_hm', 'hand_conv_feat',
                                                                          'out_smplx_mesh_cam')}
    kept |= dict(body_joint_hm_joints_3_24=values['body_joint_hm'][:, [3, 24]],
                 bbox_center_hm_stride5=values['bbox_center_hm'][:, :, ::5, ::5],
                 out_smplx_mesh_cam_stride100=values['out_smplx_mesh_cam'][:, ::100])
    return {name: value.numpy() for name, value in kept.items()}


@torch.no_grad()
def losses(network, model, images) -> dict:
    """losses.npz for random targets; nobody has a face box, so its loss is left out."""
    generator = torch.Generator().manual_seed(8)

    def draw(*shape):
        return 8 * torch.rand(1, *shape, generator=generator)

    arrays = dict(target_joint_img=draw(137, 3), target_smplx_joint_img=draw(137, 3), target_joint_cam=draw(137, 3),
                  target_smplx_joint_cam=draw(137, 3), target_smplx_pose=draw(159), target_smplx_shape=draw(10),
                  target_smplx_expr=draw(10))
    for part in network.SHORT.values():
        arrays |= {f'target_{part}_bbox_center': draw(2), f'target_{part}_bbox_size': draw(2),
                   f'meta_{part}_bbox_valid': torch.tensor([float(part != 'face')])}
    ones = dict(joint_valid=(137, 1), joint_trunc=(137, 1), smplx_joint_valid=(137, 1), smplx_joint_trunc=(137, 1),
                smplx_pose_valid=(159,))
    arrays |= {f'meta_{name}': (draw(*shape) > 2).float() for name, shape in ones.items()}
    arrays |= {f'meta_{name}': torch.ones(1) for name in ('smplx_shape_valid', 'smplx_expr_valid', 'is_3D')}
    pred = model.regress(model.data_preprocessor(dict(inputs=images.permute(0, 3, 1, 2)))['inputs'])
    terms = whole_body_terms(pred, network.loss_targets(arrays), model.head.frame)
    total = torch.zeros(())
    for theirs, ours, weight in network.LOSSES:
        loss = (BoxL1Loss if theirs.endswith('bbox') else MaskedL1Loss)(SETTINGS.get(weight, 1.0))
        found = terms[ours]()
        total = total + loss(*found)
        if theirs != 'face_bbox':
            arrays |= {f'loss_{theirs}': loss.weight * loss.entries(*found), f'mean_{theirs}': loss(*found)}
    return {name: np.asarray(value) for name, value in dict(arrays, total=total).items()}


def test_a_directory_of_other_sizes_runs(tools, made_up, capsys):
    status, said = check(tools, made_up, 'network', 'losses', capsys=capsys)
    assert status == 0, said
    assert said.count('0 beyond tolerance, 0 arrays not checked') == 2 and 'holds: network, losses' in said


@pytest.mark.parametrize('file, name', [('network', 'hand_pose_6d'), ('network', 'bbox_center_hm_stride5'),
                                        ('network', 'mcp_feat'), ('losses', 'loss_joint_proj'), ('losses', 'total')])
def test_a_wrong_array_is_named_and_fails(tools, made_up, tmp_path, capsys, file, name):
    folder = tmp_path / 'fixtures'
    shutil.copytree(made_up, folder)
    perturb(folder / f'{file}.npz', name)
    status, said = check(tools, folder, file, capsys=capsys)
    assert status == 1 and f'DOES NOT HOLD: {file}' in said
    assert [line.split()[0] for line in said.splitlines() if line.endswith('BEYOND')] == [name]


def perturb(path, name):
    with np.load(path) as data:
        arrays = dict(data)
    value = np.array(arrays[name])
    value.flat[-1] += 0.01 * max(1.0, np.abs(value).max())
    np.savez(path, **dict(arrays, **{name: value}))


def test_an_array_that_is_not_known_and_a_file_that_is_not_there_fail(tools, made_up, tmp_path, capsys):
    folder = tmp_path / 'fixtures'
    shutil.copytree(made_up, folder)
    with np.load(folder / 'network.npz') as data:
        np.savez(folder / 'network.npz', **data, novelty=np.zeros(3))
    status, said = check(tools, folder, 'network', 'geometry', capsys=capsys)
    assert status == 1 and 'NOT CHECKED: novelty' in said and 'geometry.npz cannot be checked: FileNotFoundError' in said


def test_weights_of_another_size_are_a_clear_error(tools, made_up, tmp_path, capsys):
    folder = tmp_path / 'fixtures'
    shutil.copytree(made_up, folder)
    config = json.loads((folder / 'config.json').read_text())
    config['encoder']['depth'] = 2
    (folder / 'config.json').write_text(json.dumps(config))
    status, said = check(tools, folder, 'network', capsys=capsys)
    assert status == 1 and 'missing: backbone.blocks.1.' in said


def test_a_damaged_file_does_not_hold_and_the_others_are_checked(tools, made_up, tmp_path, capsys):
    folder = tmp_path / 'fixtures'
    shutil.copytree(made_up, folder)
    (folder / 'geometry.npz').write_bytes(b'PK cut short')
    status, said = check(tools, folder, 'geometry', 'network', capsys=capsys)
    assert status == 1 and 'geometry.npz cannot be checked' in said and 'holds: network' in said


def test_the_recorded_directory(tools, parity_file, capsys):
    folder = parity_file('smplerx/network.npz').parent
    status = tools[0].main(['smplerx', '--dir', str(folder)])
    said = ''.join(capsys.readouterr())
    assert status == 0, said
    assert said.count(' 0 beyond tolerance, 0 arrays not checked') == 7


@pytest.mark.parametrize('file, name', [('geometry', 'roi_out'), ('geometry', 'cam_trans'), ('preprocess', 'box_0_0')])
def test_a_wrong_recorded_array_is_named(tools, parity_file, tmp_path, capsys, file, name):
    recorded = parity_file('smplerx/network.npz').parent
    for needed in (f'{file}.npz', 'config.json', 'joint_names.json'):
        shutil.copy(recorded / needed, tmp_path / needed)
        (tmp_path / needed).chmod(0o644)
    perturb(tmp_path / f'{file}.npz', name)
    status, said = check(tools, tmp_path, file, capsys=capsys)
    assert status == 1
    assert {line.split()[0] for line in said.splitlines() if line.endswith('BEYOND')} == {name}
