"""The released HaMeR's recorded outputs, through the tool that anyone can run, and through the estimator."""
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from hmradapter.models.estimators import HandExpert

TOOL = Path(__file__).parents[2] / 'tools' / 'analysis_tools' / 'check_parity.py'


def run(*args):
    """The tool's exit status and text."""
    done = subprocess.run([sys.executable, str(TOOL), 'hamer', *map(str, args)], capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def fixture_args(parity_file, name, io=None):
    return ('--weights', parity_file(f'hamer/{name}.pt'), '--config', parity_file(f'hamer/{name}.json'),
            '--io', io or parity_file(f'hamer/{name}_io.npz'), '--mano', parity_file('hamer/mano_synth.npz'))


@pytest.mark.parametrize('name, rows', [('small_eps', 75), ('small_ief', 128), ('small', 111)])
def test_network_losses_and_gradients(parity_file, name, rows):
    status, text = run(*fixture_args(parity_file, name))
    assert status == 0, text
    assert f'{rows} comparisons, 0 beyond tolerance, 0 arrays not checked' in text


@pytest.mark.parametrize('name', ['geometry', 'crop', 'dataset', 'metrics'])
def test_data_fixtures(parity_file, name):
    status, text = run('--data', parity_file(f'hamer/{name}.npz'))
    assert status == 0, text
    assert '0 beyond tolerance, 0 arrays not checked' in text


def thinned(arrays):
    """A fixture as the large ones are kept: thinned arrays, moments over positions, the images as bytes."""
    kept = {name: value for name, value in arrays.items() if name.startswith(('img_rgb', 'out.', 'head.'))}
    features, tokens = arrays['bb.features'], arrays['bb.block0']
    kept['bb.features_every5th_channel'] = features[:, ::5]
    kept['bb.features_channel_mean'] = features.mean((2, 3))
    kept['bb.features_channel_std'] = features.std((2, 3))
    kept['bb.block0_every48th_token_every4th_channel'] = tokens[:, ::48, ::4]
    kept['bb.block0_channel_mean'] = tokens.mean(1)
    kept['bb.block0_channel_std'] = tokens.std(1, ddof=1)
    kept['dec.layer0.in_every3rd_channel'] = arrays['dec.layer0.in'][..., ::3]
    return kept


def test_thinned_arrays_are_checked(parity_file, tmp_path):
    with np.load(parity_file('hamer/small_eps_io.npz')) as data:
        arrays = thinned(dict(data))
    np.savez(tmp_path / 'io.npz', **arrays)
    status, text = run(*fixture_args(parity_file, 'small_eps', tmp_path / 'io.npz'))
    assert status == 0, text
    assert all(name in text for name in arrays)
    assert '0 beyond tolerance, 0 arrays not checked' in text and 'grad_l2_norms are not checked' in text


@pytest.mark.parametrize('name', ['out.pose6d', 'bb.block0', 'dec.layer0.sa_out', 'loss.loss_betas'])
def test_a_wrong_array_fails(parity_file, tmp_path, name):
    with np.load(parity_file('hamer/small_eps_io.npz')) as data:
        arrays = dict(data)
    arrays[name] = arrays[name] + np.float32(1e-3)
    np.savez(tmp_path / 'io.npz', **arrays)
    status, text = run(*fixture_args(parity_file, 'small_eps', tmp_path / 'io.npz'))
    assert status == 1
    assert [line for line in text.splitlines() if line.endswith('BEYOND')][0].startswith(name)


def test_an_output_that_is_not_known_fails_and_anything_else_is_named(parity_file, tmp_path):
    with np.load(parity_file('hamer/small_eps_io.npz')) as data:
        arrays = dict(data)
    for name, status in (('bb.features_every5th_pixel', 1), ('note', 0)):
        np.savez(tmp_path / 'io.npz', **arrays, **{name: arrays['out.cam']})
        found, text = run(*fixture_args(parity_file, 'small_eps', tmp_path / 'io.npz'))
        assert found == status, text
        assert f'NOT CHECKED: {name}' in text


def test_weights_of_another_network_are_a_clear_error(parity_file):
    args = list(fixture_args(parity_file, 'small_eps'))
    args[1] = parity_file('hamer/small_ief.pt')
    status, text = run(*args)
    assert status == 2
    assert 'small_ief.pt does not fit the expert' in text and 'Traceback' not in text


def test_the_estimator_gives_the_recorded_outputs(parity_file):
    """HandExpert end to end on an original checkpoint: the path that users take."""
    sizes = json.loads(parity_file('hamer/small_ief.json').read_text())['config']
    vit, decoder = sizes['backbone'], sizes['decoder']
    model = HandExpert(
        backbone=dict(type='HaMeRViT', **{name: vit[name] for name in ('img_size', 'embed_dim', 'depth', 'num_heads')}),
        head=dict(type='MANODecoderHead', head_dim=decoder['dim_head'], token='mean_shape', ief_iters=2,
                  **{name: decoder[name] for name in ('context_dim', 'dim', 'depth', 'heads', 'mlp_dim')}),
        body_model=dict(type='MANOLayer', model_path=str(parity_file('hamer/mano_synth.npz'))),
        expert=str(parity_file('hamer/small_ief.pt')), frozen_dtype='fp32').eval()
    with np.load(parity_file('hamer/small_ief_io.npz')) as data:
        arrays = {name: torch.from_numpy(data[name]) for name in data.files}
    with torch.no_grad():
        inputs = model.data_preprocessor(dict(inputs=arrays['img_rgb_u8'], data_samples=None))['inputs']
        pred = model(inputs)
    for name, atol in (('global_orient', 1e-5), ('hand_pose', 1e-5), ('betas', 5e-6), ('cam', 5e-6), ('cam_t', 1e-4),
                       ('vertices', 2e-6), ('keypoints_3d', 2e-6), ('keypoints_2d', 2e-6)):
        torch.testing.assert_close(pred[name], arrays[f'out.{name}'], rtol=0, atol=atol)
