"""Every rule of the check is broken once, in a store whose files are otherwise what its manifest says."""
import json
import re

import cv2
import numpy as np
import pytest
from test_store import ABOUT

from hmradapter.datasets import record as R
from hmradapter.datasets.store.check import check_store
from hmradapter.datasets.store.prepared import MANIFEST
from hmradapter.datasets.store.writer import Part, build_store
from hmradapter.fileio import sha256_file

COUNT, SIZE = 6, (30, 40)  # height, width


def convert(unit):
    """Persons before a camera, with joints of the body and of the left hand."""
    rng = np.random.default_rng(int(unit))
    records = R.empty_records(COUNT, 'arctic')
    records['hw'], records['focal'], records['princpt'] = SIZE, 50, [20, 15]
    records['offset'] = np.arange(COUNT)
    records['dist'][:, :2] = [0.1, -0.05]
    for points, pixels, shape in (('kpts3d', 'kpts2d', (COUNT, 20)), ('hand_kpts3d', 'hand_kpts2d', (COUNT, 21))):
        xyz = rng.normal(0, 0.1, (*shape, 3)) + [0, 0, 2.0]
        x, y = (xyz[..., :2] / xyz[..., 2:]).transpose(2, 0, 1)
        r = x * x + y * y
        bend = 1 + 0.1 * r - 0.05 * r * r
        uv = np.stack((x * bend, y * bend), -1) * 50 + [20, 15]
        at = np.s_[:, :shape[1]] if points == 'kpts3d' else np.s_[:, 0]
        records[points][at] = np.concatenate((xyz, np.ones((*shape, 1))), -1)
        records[pixels][at] = np.concatenate((uv, np.ones((*shape, 1))), -1)
    records['bbox_body'], records['bbox_hand'][:, 0] = [10, 5, 30, 25], [12, 8, 20, 16]
    records['cam_R'] = np.eye(3)
    for name in ('has_image', 'has_K', 'has_extrinsics', 'has_dist', 'has_bbox_body', 'has_bbox_left_hand', 'has_kpts2d',
                 'has_kpts3d', 'has_abs_depth', 'has_left_hand_kpts2d', 'has_left_hand_kpts3d'):
        R.set_flag(records, name)
    return Part(records, [f'{unit}/{i}' for i in range(COUNT)], [f'{i}.jpg' for i in range(COUNT)])


@pytest.fixture
def store(tmp_path):
    images = tmp_path / 'images'
    images.mkdir()
    for i in range(COUNT):
        cv2.imwrite(str(images / f'{i}.jpg'), np.full((*SIZE, 3), 10 * i, np.uint8))
    return build_store(tmp_path / 'a', ['0', '1'], convert, ABOUT | dict(dataset='arctic'), image_root=images, shard_rows=8)


def rewrite(store, name, change):
    """Change an array of the store and let the manifest agree with it."""
    path = store.folder / name
    array = np.load(path)
    change(array)
    np.save(path, array)
    manifest = json.loads((store.folder / MANIFEST).read_text())
    manifest['files'][name] = dict(size=path.stat().st_size, sha256=sha256_file(path))
    (store.folder / MANIFEST).write_text(json.dumps(manifest))


def spoil(store, name, at, value):
    """One field of records; the index stays in agreement."""
    def change(records):
        records[name][at] = value

    def change_index(index):
        index[name][at] = value
    rewrite(store, 'records-00000.npy', change)
    if name in R.INDEX.names:
        rewrite(store, 'index.npy', change_index)


def test_a_sound_store(store):
    assert check_store(store.folder) == [] and check_store(store.folder, all_images=True, decode=True) == []


BROKEN = [('kpts2d', (2, 3, 0), np.nan, 'is not finite'),
          ('hand_kpts2d', (2, 0, slice(None), 0), 39, 'away from the projected'),
          ('kpts2d', (2, slice(0, 20), 1), 1, 'away from the projected'), ('betas', (2, 3), 1, 'is not 0 without its flag'),
          ('hand_pose', (2, 1, 3), 1, r'hand_pose \(right\).*is not 0 without its flag'), ('rot90', 2, 4, 'is not below 4'),
          ('dataset', 2, 2, 'another than the store'), ('reserved', (2, 0), 1, 'reserved.*is not 0'),
          ('weight', 2, -1, 'negative'),
          ('verts_row', 2, 3, 'leads nowhere'), ('template', 2, 0, 'leads nowhere'), ('offset', 2, 99, 'leads nowhere'),
          ('shard', 2, 0, 'leads nowhere'), ('hw', 2, 0, 'is no size'), ('bbox_body', 2, [5, 5, 5, 9], 'is empty'),
          ('bbox_body', 2, [50, 5, 60, 9], 'outside the image'),
          ('bbox_hand', (2, 0), [-9, 5, -5, 9], r'left.*outside the image'),
          ('focal', 2, [0, 50], 'focal.*not positive'), ('cam_R', 2, np.eye(3) * 1.1, 'no rotation'),
          ('cam_R', 2, np.diag([1, 1, -1.0]), 'no rotation'), ('kpts3d', (2, 0, 3), 0, 'not 0 with confidence 0'),
          ('kpts3d', (2, 0, 3), -1, 'negative confidence'), ('kpts3d', 2, 0, 'has a flag but no joint'),
          ('flags', 2, np.uint64(2 ** 63), 'bits without a name')]


@pytest.mark.parametrize(('name', 'at', 'value', 'said'), BROKEN, ids=[f'{case[0]}-{case[3]}' for case in BROKEN])
def test_a_broken_rule_is_told_by_key_and_field(store, name, at, value, said):
    spoil(store, name, at, value)
    problems = [str(one) for one in check_store(store.folder)]
    assert any(re.search(said, one) and '0/2' in one and one.startswith(name) for one in problems), problems


def test_what_lies_between_records(store):
    def same(keys):
        keys[3] = keys[1]

    def other(index):
        index['frame'][4] = 7
    rewrite(store, 'keys-00000.npy', same)
    rewrite(store, 'index.npy', other)
    manifest = json.loads((store.folder / MANIFEST).read_text())
    manifest['persons'] -= 1
    (store.folder / MANIFEST).write_text(json.dumps(manifest))
    problems = '\n'.join(map(str, check_store(store.folder)))
    assert 'key: 1 x, e.g. 0/1: belongs to several records' in problems
    assert 'index.npy: 1 x, e.g. 0/4: differs' in problems and 'says 11 persons, there are 12' in problems


def test_files_images_and_models(store, tmp_path):
    images = tmp_path / 'images'
    (images / '0.jpg').unlink()
    (images / '1.jpg').write_bytes((images / '1.jpg').read_bytes()[:200])
    cv2.imwrite(str(images / '2.jpg'), np.zeros((9, 9, 3), np.uint8))
    problems = {one.what.split(' (')[0]: one for one in check_store(store.folder)}
    assert problems['image is missing'].keys == ('0/0', '1/0') and problems['image is damaged'].count == 2
    assert problems['image has another size than hw says'].keys == ('0/2', '1/2')
    moved = images.rename(tmp_path / 'moved')
    assert len(check_store(store.folder)) == 1 and len(check_store(store.folder, image_root=moved)) == 3
    manifest = json.loads((store.folder / MANIFEST).read_text()) | dict(body_models={'smplx/A.npz': 'x', 'smplx/B.npz': 'y'})
    (store.folder / MANIFEST).write_text(json.dumps(manifest))
    (tmp_path / 'smplx').mkdir()
    (tmp_path / 'smplx' / 'A.npz').write_bytes(b'other')
    told = '\n'.join(map(str, check_store(store.folder, moved, tmp_path)))
    assert 'A.npz: differs' in told and 'B.npz: is not in' in told
    path = store.folder / 'records-00001.npy'
    path.write_bytes(path.read_bytes()[:-1] + b'x')
    assert [one.field for one in check_store(store.folder)] == ['records-00001.npy']


def test_images_in_the_store_are_looked_at_there(store, tmp_path):
    own = build_store(tmp_path / 'b', ['0', '1'], convert, ABOUT | dict(dataset='arctic'), image_root=tmp_path / 'images',
                      images='tar')
    assert check_store(own.folder, image_root=tmp_path / 'nowhere', all_images=True) == []


def test_an_empty_store_is_a_problem(store):
    path = store.folder / MANIFEST
    path.write_text(json.dumps(json.loads(path.read_text()) | dict(records=0, shards=0)))
    assert [one.field for one in check_store(store.folder)] == ['records']
