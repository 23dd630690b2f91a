"""The check of HaMeR's data fixtures itself: it takes any part of a fixture, and it sees a difference."""
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

TOOL = Path(__file__).parents[2] / 'tools' / 'analysis_tools' / 'check_parity.py'


def run(path):
    done = subprocess.run([sys.executable, str(TOOL), 'hamer', '--data', str(path)], capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize('name, left_out', [
    ('crop', ('case0.', 'case5', 'box_size.no_aspect', 'img_size')),
    ('dataset', ('freihand.crop', 'hint.', 'tar._trans', 'aug.img', 'aug.global_orient'))])
def test_part_of_a_fixture(parity_file, tmp_path, name, left_out):
    with np.load(parity_file(f'hamer/{name}.npz')) as data:
        np.savez(tmp_path / 'part.npz', **{array: data[array] for array in data.files if not array.startswith(left_out)})
    status, text = run(tmp_path / 'part.npz')
    assert status == 0 and '0 beyond tolerance' in text and '0 arrays not checked' in text, text


@pytest.mark.parametrize('name, array, change', [
    ('crop', 'case1.crop_rgb_u8', lambda x: np.roll(x, 1, axis=2)),
    ('crop', 'case3.img_blurred_stride2', lambda x: x + 0.01),
    ('dataset', 'freihand.keypoints_2d', lambda x: x + 1e-5), ('dataset', 'aug.global_orient', lambda x: -x)])
def test_a_difference_is_seen(parity_file, tmp_path, name, array, change):
    with np.load(parity_file(f'hamer/{name}.npz')) as data:
        arrays = dict(data)
    np.savez(tmp_path / 'other.npz', **(arrays | {array: change(arrays[array])}))
    status, text = run(tmp_path / 'other.npz')
    assert status == 1 and f'{array}' in text and 'BEYOND' in text
