"""Images in tars: found where records say, copied byte for byte, the same bytes however they were made."""
import io
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from test_store import ABOUT, folder_bytes

from hmradapter.datasets import HandDataset
from hmradapter.datasets import record as R
from hmradapter.datasets.images import ImageFileError, probe_image, read_image, verify_image
from hmradapter.datasets.store.image_tars import write_tars
from hmradapter.datasets.store.writer import Part, build_store
from hmradapter.datasets.transforms import LoadImage

UNITS = ['a', 'b', 'c']
SIZE = (24, 40)  # height, width


def picture(number, suffix='.jpg'):
    image = np.random.default_rng(number).integers(0, 255, (*SIZE, 3), dtype=np.uint8)
    return cv2.imencode(suffix, image)[1].tobytes()


@pytest.fixture
def release(tmp_path):
    """Three units of files and one tar that all share."""
    root = tmp_path / 'release'
    for i, unit in enumerate(UNITS):
        (root / unit).mkdir(parents=True)
        for j in range(3):
            (root / unit / f'{j}.jpg').write_bytes(picture(10 * i + j))
    with tarfile.open(root / 'shared.tar', 'w') as tar:
        for i in range(3):
            data = picture(100 + i, '.png')
            info = tarfile.TarInfo(f'{i}.png')
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return root


class Convert:
    """Five records a unit: the three files, the middle one twice, and a picture of the shared tar."""

    def __init__(self, root):
        self.root = root

    def __call__(self, unit):
        records = R.empty_records(5, 'arctic')
        records['hw'], records['bbox_hand'][:, 0] = SIZE, [1, 2, 9, 9]
        for name in ('has_image', 'has_bbox_left_hand'):
            R.set_flag(records, name)
        records['offset'][:4] = [0, 1, 1, 2]
        with tarfile.open(self.root / 'shared.tar') as tar:
            member = tar.getmember(f'{UNITS.index(unit)}.png')
        records['shard'][4], records['offset'][4], records['length'][4] = 0, member.offset_data, member.size
        return Part(records, [f'{unit}/{i}' for i in range(5)], [f'{unit}/{i}.jpg' for i in range(3)], tars=['shared.tar'])


def encoded(unit, row):
    """The bytes that record `row` of a unit should lead to."""
    i = UNITS.index(unit)
    return picture(100 + i, '.png') if row == 4 else picture(10 * i + [0, 1, 1, 2][row])


def load(dataset):
    return [LoadImage()(dataset.get_data_info(i))['img'] for i in range(len(dataset))]


def decode(data):
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)


def test_records_point_into_tars_of_the_release(release, tmp_path):
    store = build_store(tmp_path / 'a', UNITS, Convert(release), ABOUT, image_root=release)
    assert store.tar(0) == 'shared.tar' and store.table_sizes() == (9, 1)  # once, though every unit names it
    dataset = HandDataset(str(store.folder))
    for i, image in enumerate(load(dataset)):
        info = dataset.get_data_info(i)
        assert (info['img_span'] is None) == (i % 5 != 4)
        assert Path(info['img_path']).parent in (release, release / UNITS[i // 5])
        np.testing.assert_array_equal(image, decode(encoded(UNITS[i // 5], i % 5)))


def test_a_store_may_hold_its_images(release, tmp_path):
    store = build_store(tmp_path / 'a', UNITS, Convert(release), ABOUT, image_root=release, images='tar')
    assert [path.name for path in sorted(store.folder.glob('*.tar'))] == [f'images-{i:05d}.tar' for i in range(3)]
    release.rename(tmp_path / 'gone')
    moved = store.folder.rename(tmp_path / 'elsewhere')
    dataset = HandDataset(str(moved))
    for i, image in enumerate(load(dataset)):
        info = dataset.get_data_info(i)
        offset, length = info['img_span']
        assert Path(info['img_path']).read_bytes()[offset:offset + length] == encoded(UNITS[i // 5], i % 5)
        np.testing.assert_array_equal(image, decode(encoded(UNITS[i // 5], i % 5)))
    with tarfile.open(moved / 'images-00001.tar') as tar:  # as any tool reads it; each image once
        assert tar.getnames()[:3] == [f'b/{i}.jpg' for i in range(3)] and len(tar.getnames()) == 4
        assert tar.getnames()[3].startswith('shared/') and tar.getnames()[3].endswith('.png')
        assert tar.extractfile('b/2.jpg').read() == picture(12)
        assert {(one.mtime, one.uid, one.uname) for one in tar.getmembers()} == {(0, 0, '')}
    dataset.store.verify()
    with pytest.raises(ValueError, match='holds its images itself'):
        HandDataset(str(moved), image_root=str(release))


def test_an_interrupted_run_gives_the_same_tars(release, tmp_path):
    whole = build_store(tmp_path / 'a', UNITS, Convert(release), ABOUT, image_root=release, images='tar')

    def dies(unit):
        if unit == 'c' and not (tmp_path / 'b.died').exists():
            (tmp_path / 'b.died').touch()
            raise KeyboardInterrupt
        return Convert(release)(unit)
    with pytest.raises(KeyboardInterrupt):
        build_store(tmp_path / 'b', UNITS, dies, ABOUT, image_root=release, images='tar')
    resumed = build_store(tmp_path / 'b', UNITS, dies, ABOUT, image_root=release, images='tar')
    assert folder_bytes(whole.folder) == folder_bytes(resumed.folder)


def test_tars_have_a_largest_size(release, tmp_path):
    part = Convert(release)('a')
    (tmp_path / 'work').mkdir()
    entries = write_tars(part, release, tmp_path / 'work' / 'part', limit=8000)
    assert len(entries) == 2 and all(entry['size'] <= 8000 for entry in entries) and part.records['shard'].max() == 1
    for row, record in enumerate(part.records):
        data = (tmp_path / 'work' / entries[record['shard']]['name']).read_bytes()
        assert data[record['offset']:record['offset'] + record['length']] == encoded('a', row)


def test_references_that_lead_nowhere_are_not_written(release, tmp_path):
    def spoilt(name, value):
        def make(unit):
            part = Convert(release)(unit)
            part.records[name][4] = value
            return part
        return make
    for number, (name, value, said) in enumerate([('shard', 1, 'shard 1, but there are 1 tars'), ('length', 0, 'byte range'),
                                                  ('length', -1, 'but there are 3 paths')]):
        with pytest.raises(ValueError, match=f'record 4 .*{said}'):
            build_store(tmp_path / str(number), UNITS, spoilt(name, value), ABOUT, image_root=release)


def test_an_image_that_vanishes_or_a_short_tar_is_named(release, tmp_path):
    (release / 'b' / '1.jpg').unlink()
    with pytest.raises(FileNotFoundError, match='b/1.jpg'):
        build_store(tmp_path / 'a', UNITS, Convert(release), ABOUT, image_root=release, images='tar')
    tar = release / 'shared.tar'
    with pytest.raises(ImageFileError, match='shared.tar .bytes .* the file ends before it'):
        read_image(tar, span=(tar.stat().st_size - 10, 2 ** 60))
    with pytest.raises(ImageFileError, match='shared.tar .bytes'):
        read_image(tar, span=(0, 100))
    with pytest.raises(ImageFileError, match='shared.tar .bytes'):
        probe_image(tar, (0, 100))


def test_sizes_in_tars(release):
    record = Convert(release)('b').records[4]
    span = int(record['offset']), int(record['length'])
    assert probe_image(release / 'shared.tar', span) == verify_image(release / 'shared.tar', span) == SIZE[::-1]
    with pytest.raises(ImageFileError, match='cut'):
        probe_image(release / 'shared.tar', (span[0], span[1] - 30))


def test_the_last_picture_is_kept_by_its_bytes_and_turn(release):
    loader = LoadImage()
    spans = [Convert(release)(unit).records[4] for unit in 'ab']
    asked = [dict(img_path=release / 'shared.tar', img_span=(int(r['offset']), int(r['length'])), rot90=turns)
             for r, turns in ((spans[0], 0), (spans[1], 0), (spans[1], 1), (spans[1], 1))]
    images = [loader(results)['img'] for results in asked]
    np.testing.assert_array_equal(images[0], decode(picture(100, '.png')))
    np.testing.assert_array_equal(images[1], decode(picture(101, '.png')))
    np.testing.assert_array_equal(images[2], np.rot90(images[1], -1))
    assert images[3] is images[2]
