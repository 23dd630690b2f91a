"""ARCTIC out through its own conventions and back through the reader; each trap planted once."""
import json
import os
import pickle
import shutil

import numpy as np
import pytest
import torch
from arctic_fixture import FRAMES, IMAGES, OFFSET, SEQUENCES, SUBJECTS, write_arctic
from mmengine.dataset import pseudo_collate
from torch.utils.data import DataLoader

from hmradapter.body_models import MANOLayer, SMPLXLayer
from hmradapter.datasets import HandDataset
from hmradapter.datasets.record import SIDES, check_records
from hmradapter.datasets.sources import ArcticSource
from hmradapter.datasets.sources.arctic import ArcticConverter
from hmradapter.datasets.sources.arctic_files import RENDERED, ArcticFiles
from hmradapter.fileio import UnsafeFileError
from hmradapter.geometry import cameras, mirror
from hmradapter.geometry.kinematics import chain_product
from hmradapter.geometry.rotations import axis_angle_to_rotmat
from hmradapter.registry import DATASETS
from hmradapter.structures import hmr_collate
from hmradapter.structures.joints import ARM_CHAIN, HAND21_FROM_SMPLX144

PIPELINE = [dict(type='LoadImage'), dict(type='HandCrop', image_size=64), dict(type='PackHandInputs')]


@pytest.fixture(scope='module')
def release(tmp_path_factory, open_body_models):
    root = tmp_path_factory.mktemp('arctic')
    return root, write_arctic(root, open_body_models)


@pytest.fixture
def copy(release, tmp_path):
    """A release that a test may damage."""
    root = tmp_path / 'data'
    shutil.copytree(release[0], root, ignore=shutil.ignore_patterns('prepared', '0'))
    return root


@pytest.fixture
def build(release, open_body_models):
    def make(root=None, pipeline=(), hands=SIDES, guidance=None, indices=None, **options):
        source = ArcticSource(str(root or release[0]), str(open_body_models), **dict(dict(split='val', stride=1), **options))
        return HandDataset(source, pipeline, hands, guidance, indices=indices)
    return make


def camera_of(truth, view):
    matrix = torch.tensor(truth['cameras']['world2cam'][view - 1], dtype=torch.float64)
    return matrix[:3, :3], matrix[:3, 3], torch.tensor(truth['cameras']['intris_mat'][view - 1], dtype=torch.float64)


def edit(path, change):
    content = np.load(path, allow_pickle=True).item()
    change(content)
    np.save(path, content, allow_pickle=True)


def counts(dataset):
    return dataset.store.manifest['dropped'] | dataset.store.manifest['unlabelled']


@pytest.mark.parametrize('split, subject', [('train', 's01'), ('val', 's05')])
def test_hands_come_back(build, release, open_body_models, split, subject):
    truth = release[1][subject]
    dataset = build(split=split)
    assert len(dataset) == 2 * 8 * len(IMAGES)
    layers = {side: MANOLayer(open_body_models / 'mano', side=side) for side in SIDES}
    for i in range(len(dataset)):
        item = dataset.get_data_info(i)
        record = dataset.store.record(i // 2)
        side, frame = item['hand'], int(record['frame']) - OFFSET
        rotation, translation, K = camera_of(truth, int(record['view']))
        transl = torch.from_numpy(record['hand_transl'][SIDES.index(side)])[None]
        out = layers[side](item['global_orient'][None], item['hand_pose'][None], item['betas'][None], transl)
        hand = truth['hands'][side]
        expected = cameras.transform_points(torch.from_numpy(hand['vertices'][frame]).double(), rotation, translation)
        assert (out.vertices[0] - expected).abs().max() < 1e-5
        points = cameras.transform_points(torch.from_numpy(hand['keypoints'][frame]).double(), rotation, translation)
        assert (item['keypoints_3d'][:, :3] - points).abs().max() < 1e-5
        pixels = cameras.project(points, K)
        assert (item['keypoints_2d'][:, :2] - pixels).abs().max() < 0.01
        box = np.concatenate((item['box_center'] - item['box_wh'] / 2, item['box_center'] + item['box_wh'] / 2))
        np.testing.assert_allclose(box, [*pixels.amin(0), *pixels.amax(0)], atol=0.01)
        assert item['img_path'].endswith(f'{SEQUENCES[subject]}/{record["view"]}/{record["frame"]:05d}.jpg')
        assert item['key'] == f'arctic/{SEQUENCES[subject]}/{record["view"]}/{record["frame"]:05d}/{side}'


def test_bodies_come_back_and_lead_to_the_hands(build, release, open_body_models):
    truth, dataset = release[1]['s05'], build()
    layer = SMPLXLayer(open_body_models / 'smplx', gender='female').with_template(dataset.store.template(0))
    for row in range(0, len(dataset.store), 5):
        record = dataset.store.record(row)
        rotation, translation, _ = camera_of(truth, int(record['view']))
        world = torch.from_numpy(truth['joints'][int(record['frame']) - OFFSET]).double()
        expected = cameras.transform_points(world, rotation, translation)
        rotations = {name: axis_angle_to_rotmat(torch.from_numpy(record[field]).reshape(1, -1, 3)) for name, field in (
            ('global_orient', 'global_orient'), ('body_pose', 'body_pose'), ('jaw_pose', 'jaw_pose'))}
        hands = {f'{side}_hand_pose': axis_angle_to_rotmat(torch.from_numpy(record['hand_pose'][i])[None])
                 for i, side in enumerate(SIDES)}
        eyes = axis_angle_to_rotmat(torch.from_numpy(record['eye_pose']))[:, None]
        transl = torch.from_numpy(record['transl'])[None]
        out = layer(**rotations, **hands, leye_pose=eyes[:1], reye_pose=eyes[1:], transl=transl)
        assert (out.joints[0] - expected)[:127].abs().max() < 1e-5
        np.testing.assert_allclose(record['kpts3d'][:127, :3], expected[:127], atol=1e-5)
        assert not record['kpts3d'][127:].any() and not record['kpts2d'][127:].any()  # the contour differs from view to view
        item = dataset.get_data_info(2 * row + 1)
        assert item['hand'] == 'right' and item['has_body_pose'] == 1
        product = chain_product(item['body_pose'], ARM_CHAIN['right'])
        torch.testing.assert_close(product, item['global_orient'][0], atol=2e-6, rtol=0)
        for side in SIDES:  # the two sets of labels mean the same wrist
            wrist = record['kpts3d'][HAND21_FROM_SMPLX144[side][0], :3]
            np.testing.assert_allclose(record['hand_kpts3d'][SIDES.index(side), 0, :3], wrist, atol=1e-5)


def test_each_convention_matters(build, release, open_body_models):
    """What a reader gets that misses a trap: centimetres, so the tolerances above do hold the traps."""
    dataset, truth = build(), release[1]['s05']
    record = dataset.store.record(0)
    layer = MANOLayer(open_body_models / 'mano', side='left')
    raw = np.load(release[0] / 'raw_seqs' / f'{SEQUENCES["s05"]}.mano.npy', allow_pickle=True).item()['left']
    frame = int(record['frame'])
    assert np.abs(raw['rot'][frame] - raw['rot'][frame - OFFSET]).max() > 0.01      # the offset
    assert layer.hand_mean.abs().max() > 0.01                                       # residual fingers
    assert layer.root_joint(torch.zeros(1, 10)).norm() > 0.01                       # the root joint
    assert not np.allclose(truth['cameras']['world2cam'][0], truth['cameras']['world2cam'][1])  # view - 1
    neutral = SMPLXLayer(open_body_models / 'smplx').v_template.numpy()
    assert np.abs(neutral - truth['template']).max() > 0.01                         # gender and template


def test_left_hands_are_mirrored_once_with_their_guidance(build):
    dataset = build(pipeline=PIPELINE)
    plain = next(i for i in range(len(dataset)) if dataset.get_data_info(i)['hand'] == 'left')
    info, sample = dataset.get_data_info(plain), dataset[plain]['data_samples']
    torch.testing.assert_close(sample.gt.global_orient, mirror.mirror_rotmat(info['global_orient']))
    torch.testing.assert_close(sample.guidance.body_pose, mirror.mirror_body_pose(info['body_pose']))
    product = chain_product(sample.guidance.body_pose, ARM_CHAIN['right'])
    torch.testing.assert_close(product, sample.gt.global_orient[0], atol=2e-6, rtol=0)


def test_stride_runs_over_sequence_view_and_frame(copy, build):
    (copy / 'splits_json' / 'protocol_p1.json').write_text(json.dumps(dict(train=[*SEQUENCES.values()], val=[], test=[])))
    everything = build(copy, split='train').store.keys()
    assert list(everything) == sorted(everything) and len(everything) == 2 * 8 * len(IMAGES)
    strided = build(copy, split='train', stride=5).store.keys()
    assert list(strided) == list(everything[::5])
    some = build(copy, split='train', stride=3, views=(7, 2)).store.keys()
    assert list(some) == [key for key in everything if key.split(b'/')[-2] in (b'2', b'7')][::3]


def test_what_is_missing_or_damaged_is_counted_and_left_out(copy, build):
    folder = copy / 'images' / SEQUENCES['s05'] / '3'
    (folder / '00010.jpg').unlink()
    cut = folder / '00011.jpg'
    cut.write_bytes(cut.read_bytes()[:-40])
    (folder / '00012.jpg').write_bytes(b'')
    shutil.copy(copy / 'images' / SEQUENCES['s05'] / '4' / '00010.jpg', folder / '00013.jpg')
    misc = json.loads((copy / 'meta' / 'misc.json').read_text())
    misc['s05']['image_size'][4] = [280, 200]
    (copy / 'meta' / 'misc.json').write_text(json.dumps(misc))
    dataset = build(copy, views=(3, 4, 5))
    assert dataset.store.manifest['dropped'] == dict(missing_image=1, corrupt_image=2, image_of_other_size=4)
    assert dataset.store.manifest['examples']['missing_image'] == [f'images/{SEQUENCES["s05"]}/3/00010.jpg']
    assert len(dataset.store) == 5 and len(dataset) == 10


def test_an_image_damaged_inside_is_found_by_decoding(copy, build):
    path = copy / 'images' / SEQUENCES['s05'] / '1' / '00010.jpg'
    data = bytearray(path.read_bytes())
    start = data.index(b'\xff\xda')
    data[start:start + 2] = b'\x00\x00'  # no scan: head and end are fine
    path.write_bytes(data)
    assert counts(build(copy, views=(1,))) == {}
    dataset = build(copy, views=(1,), pipeline=PIPELINE)
    with pytest.raises(ValueError, match='1/00010.jpg'):
        dataset[0]
    assert counts(build(copy, views=(1,), verify_images=True)) == dict(corrupt_image=1)


def test_frames_without_annotation(copy, build):
    misc = json.loads((copy / 'meta' / 'misc.json').read_text())
    misc['s05']['ioi_offset'] = 12
    (copy / 'meta' / 'misc.json').write_text(json.dumps(misc))
    dataset = build(copy, views=(1,))
    assert counts(dataset)['frame_without_annotation'] == 2  # images 10, 11
    assert [int(dataset.store.record(i)['frame']) for i in range(2)] == [12, 13]


def test_labels_that_are_not_finite(copy, build):
    def spoil_hand(content):
        content['left']['trans'][10 - OFFSET, 1] = np.nan
        content['right']['pose'][11 - OFFSET, 4] = np.inf

    def spoil_body(content):
        content['body_pose'][12 - OFFSET, 5] = np.nan
        content['transl'][13 - OFFSET] += 1.0  # the body of another moment

    edit(copy / 'raw_seqs' / f'{SEQUENCES["s05"]}.mano.npy', spoil_hand)
    edit(copy / 'raw_seqs' / f'{SEQUENCES["s05"]}.smplx.npy', spoil_body)
    dataset = build(copy, views=(1,), pipeline=PIPELINE)
    assert counts(dataset) == dict(left_hand_not_finite=1, right_hand_not_finite=1, body_not_finite=1, body_away_from_hands=1)
    assert len(dataset) == 6
    infos = [dataset.get_data_info(i) for i in range(6)]
    assert [(info['hand'], info['has_body_pose']) for info in infos] == [
        ('right', 1), ('left', 1), ('left', 0), ('right', 0), ('left', 0), ('right', 0)]
    for i in range(6):
        for group, field, value in dataset[i]['data_samples'].tensors():
            assert value.isfinite().all(), (group, field)


@pytest.mark.parametrize('damage, reason', [('remove', 'body_file_missing'), ('cut', 'body_file_damaged'),
                                            ('short', 'body_file_damaged')])
def test_a_missing_body_file_costs_guidance_only(copy, build, damage, reason):
    path = copy / 'raw_seqs' / f'{SEQUENCES["s05"]}.smplx.npy'
    if damage == 'remove':
        path.unlink()
    elif damage == 'cut':
        path.write_bytes(path.read_bytes()[:-100])
    else:
        edit(path, lambda content: content.update(transl=content['transl'][:-1]))
    dataset = build(copy)
    assert counts(dataset) == {reason: 8 * len(IMAGES)} and len(dataset) == 2 * 8 * len(IMAGES)
    info = dataset.get_data_info(0)
    assert info['has_body_pose'] == 0 and not info['body_pose'].any()


@pytest.mark.parametrize('damage, reason', [('remove', 'sequence_without_hands_file'),
                                            ('cut', 'sequence_with_damaged_hands_file'),
                                            ('key', 'sequence_with_damaged_hands_file')])
def test_a_sequence_without_hands_is_left_out(copy, build, damage, reason):
    (copy / 'splits_json' / 'protocol_p1.json').write_text(json.dumps(dict(train=[*SEQUENCES.values()], val=[], test=[])))
    path = copy / 'raw_seqs' / f'{SEQUENCES["s01"]}.mano.npy'
    if damage == 'remove':
        path.unlink()
    elif damage == 'cut':
        path.write_bytes(path.read_bytes()[:200])
    else:
        edit(path, lambda content: content['left'].pop('pose'))
    dataset = build(copy, split='train')
    assert counts(dataset) == {reason: 1} and len(dataset.store) == 8 * len(IMAGES)


def test_numbers_beyond_float32(copy, build):
    raw = copy / 'raw_seqs' / SEQUENCES['s05']
    edit(raw.with_suffix('.mano.npy'), lambda content: content['left']['rot'].__setitem__(10 - OFFSET, 1e200))
    edit(raw.with_suffix('.smplx.npy'), lambda content: content['jaw_pose'].__setitem__(11 - OFFSET, 1e200))
    assert counts(build(copy, views=(1,))) == dict(left_hand_not_finite=1, body_not_finite=1)


def test_a_template_of_another_model(copy, build):
    path = copy / 'meta' / 'subject_vtemplates' / 's05.obj'
    text = path.read_text()
    path.write_text(text.replace('v ', 'x ', 1))
    with pytest.raises(ValueError, match='s05.obj has .* vertices.*open model'):
        build(copy)
    path.write_text(''.join(f'v {1000 * i} 0 0\n' for i in range(20)))
    with pytest.raises(ValueError, match='s05.obj.*beyond 3.0 m'):
        build(copy)


@pytest.mark.parametrize('name', ['raw_seqs/s05/phone_use_02.mano.npy', 'raw_seqs/s05/phone_use_02.smplx.npy', 'meta/misc.json',
                                  'splits_json/protocol_p1.json', 'meta/subject_vtemplates/s05.obj',
                                  'images/s05/phone_use_02/1/00010.jpg'])
def test_damaged_files_are_named_or_counted(copy, build, name):
    """Random cuts and flipped bits: an error that names the file, or records that are whole."""
    path, rng = copy / name, np.random.default_rng(0)
    original = path.read_bytes()
    for attempt in range(6):
        data = bytearray(original)
        if attempt < 2:
            data = data[:rng.integers(0, len(data))]
        else:
            for at in rng.integers(0, len(data), 8):
                data[at] ^= 1 << rng.integers(8)
        path.write_bytes(data)
        try:
            store = build(copy, views=(1,)).store
        except (ValueError, FileNotFoundError) as error:
            assert copy.name in str(error) or 'prepared' in str(error), error
        else:
            check_records(np.array([store.record(row) for row in range(len(store))]))


def test_nothing_left_is_an_error(copy, build):
    shutil.rmtree(copy / 'images')
    with pytest.raises(ValueError, match='would have no record.*view_without_images'):
        build(copy)


def test_code_in_a_data_file_is_refused(copy, build, tmp_path):
    class Attack:
        def __reduce__(self):
            return os.system, (f'touch {tmp_path}/ran',)
    for name in ('mano', 'smplx'):
        path = copy / 'raw_seqs' / f'{SEQUENCES["s05"]}.{name}.npy'
        kept = path.read_bytes()
        np.save(path, np.array(Attack(), dtype=object), allow_pickle=True)
        with pytest.raises(UnsafeFileError, match=f'{name}.npy'):
            build(copy)
        path.write_bytes(kept)
    assert not (tmp_path / 'ran').exists()


def test_shape_may_be_tiled(copy, build, release):
    edit(copy / 'raw_seqs' / f'{SEQUENCES["s05"]}.mano.npy',
         lambda content: content['left'].update(shape=np.tile(content['left']['shape'], (FRAMES, 1))))
    torch.testing.assert_close(build(copy).get_data_info(0)['keypoints_3d'], build().get_data_info(0)['keypoints_3d'])


@pytest.mark.parametrize('kwargs, words', [
    (dict(split='test'), 'not public'), (dict(views=(0, 1)), 'egocentric'), (dict(protocol='p3'), 'p1'),
    (dict(stride=0), 'at least 1'), (dict(hands=('both',)), 'hands'), (dict(guidance=dict(source='gt')), 'annotation'),
    (dict(guidance=dict(source='file')), 'path')])
def test_bad_arguments_say_what_to_do(build, kwargs, words):
    with pytest.raises(ValueError, match=words):
        build(**kwargs)


def test_a_folder_that_is_not_arctic(tmp_path, build):
    with pytest.raises(FileNotFoundError, match='(?s)misc.json.*arctic.is.tue.mpg.de'):
        build(tmp_path)


def test_prepared_once_and_again_when_something_changes(copy, build, open_body_models, tmp_path, monkeypatch):
    first = build(copy)
    monkeypatch.setattr(ArcticConverter, '__call__', lambda *_: pytest.fail('converted again'))
    assert build(copy, hands=('left',), pipeline=PIPELINE).store.folder == first.store.folder
    monkeypatch.undo()
    assert build(copy, stride=2).store.folder != first.store.folder
    models = tmp_path / 'models'
    shutil.copytree(open_body_models, models)
    arrays = dict(np.load(models / 'smplx' / 'SMPLX_FEMALE.npz', allow_pickle=True))
    arrays['weights'] = np.roll(arrays['weights'], 1)
    np.savez(models / 'smplx' / 'SMPLX_FEMALE.npz', **arrays)
    other = HandDataset(ArcticSource(str(copy), str(models), split='val', stride=1))
    assert other.store.folder != first.store.folder
    edit(copy / 'raw_seqs' / f'{SEQUENCES["s05"]}.mano.npy',
         lambda content: content['left'].update(shape=content['right']['shape']))
    assert build(copy).store.folder != first.store.folder
    elsewhere = build(copy, prepared_dir=str(tmp_path / 'there'))
    assert elsewhere.store.folder.parent == tmp_path / 'there'


@pytest.mark.parametrize('is_dump', [False, True])
def test_guidance_sources(build, release, tmp_path, is_dump):
    annotated = build()
    nothing = build(guidance=dict(source='none')).get_data_info(3)
    assert nothing['has_body_pose'] == 0 and not nothing['body_pose'].any()
    keys = annotated.store.keys()
    rng = np.random.default_rng(0)
    poses = rng.normal(0, 0.3, (len(keys), 22, 3))
    order = rng.permutation(len(keys))[2:]  # two bodies are missing, the others in any order
    poses[order[-1]] = np.nan
    path = tmp_path / 'bodies.npz'
    if is_dump:
        matrices = axis_angle_to_rotmat(torch.from_numpy(poses[order])).numpy()
        np.savez(path, key=keys[order].astype(str), pred_global_orient=matrices[:, 0], pred_body_pose=matrices[:, 1:])
    else:
        np.savez(path, key=keys[order].astype(str), global_orient=poses[order, 0], body_pose=poses[order, 1:])
    dataset = build(guidance=dict(source='file', path=str(path)))
    known = {int(row) for row in order[:-1]}
    for i in range(len(dataset)):
        info, row = dataset.get_data_info(i), i // 2
        assert info['has_body_pose'] == (row in known)
        expected = axis_angle_to_rotmat(torch.from_numpy(poses[row])).float() if row in known else torch.zeros(22, 3, 3)
        torch.testing.assert_close(info['body_pose'], expected, atol=1e-6, rtol=0)
    np.savez(path, key=np.array(['someone/else']), global_orient=poses[:1, 0], body_pose=poses[:1, 1:])
    with pytest.raises(ValueError, match='someone/else'):
        build(guidance=dict(source='file', path=str(path)))


def test_workers_of_either_kind_give_the_same_batches(build):
    dataset = build(pipeline=PIPELINE, hands=('left', 'right'), indices=12)
    assert len(dataset) == 12 and len(build(indices=[3, 5])) == 2
    assert len(pickle.dumps(dataset)) < 40_000 + os.path.getsize(dataset.store.folder / 'manifest.json')
    plain = [hmr_collate([dataset[i] for i in range(start, start + 4)]) for start in (0, 4, 8)]
    for context in ('fork', 'spawn'):
        loader = DataLoader(dataset, 4, num_workers=2, collate_fn=hmr_collate, multiprocessing_context=context)
        for batch, expected in zip(loader, plain, strict=True):
            assert torch.equal(batch['inputs'], expected['inputs'])
            pairs = zip(batch['data_samples'].tensors(), expected['data_samples'].tensors(), strict=True)
            for (_, field, value), (_, _, other) in pairs:
                assert torch.equal(value, other), field


def test_visibility_of_rendered_data(copy, build):
    assert build(copy).get_data_info(0)['visibility'] is None
    table = np.random.default_rng(0).uniform(size=(FRAMES, 3))
    path = copy / 'meta' / 'visibility' / f'{SEQUENCES["s05"]}.npz'
    path.parent.mkdir(parents=True)
    np.savez(path, left=table, right=1 - table, views=[2, 4, 7])
    assert build(copy, views=(4, 5)).get_data_info(0)['visibility'] is None  # not said to be rendered
    (copy / 'meta' / RENDERED).write_text('{}')
    dataset = build(copy, views=(4, 5))
    for i in range(len(dataset)):
        info, record = dataset.get_data_info(i), dataset.store.record(i // 2)
        expected = table[record['frame'] - OFFSET, 1]
        if record['view'] == 5:
            assert info['visibility'] is None
        else:
            assert info['visibility'] == pytest.approx(expected if info['hand'] == 'left' else 1 - expected)


def test_only_rendered_data_have_shapes(copy, build):
    """A file of the release with a key of that name does not change whose model a record is of."""
    plain = build(copy).store.record(0)
    path = copy / 'raw_seqs' / f'{SEQUENCES["s05"]}.smplx.npy'
    edit(path, lambda content: content.update(betas_neutral=np.ones((FRAMES, 10)), expression=np.ones((FRAMES, 10))))
    assert build(copy).store.record(0).tobytes() == plain.tobytes()
    (copy / 'meta' / RENDERED).write_text('{}')
    record = build(copy).store.record(0)
    assert record['gender'] == 0 and record['num_betas'] == 10 and (record['betas'][:10] == 1).all()
    assert plain['gender'] == 2 and not plain['betas'].any() and not plain['expression'].any()


def test_one_side_only_and_registry(build, open_body_models, release):
    right = build(hands=('right',))
    assert {right.get_data_info(i)['hand'] for i in range(len(right))} == {'right'}
    source = dict(type='ArcticSource', data_root=str(release[0]), body_model_root=str(open_body_models), split='train')
    built = DATASETS.build(dict(type='HandDataset', source=source, pipeline=PIPELINE, lazy_init=True))
    assert built.metainfo == dict(dataset='arctic', protocol='p1', split='train', views=tuple(range(1, 9)), stride=10,
                                  truth=None)
    assert len(built) == 8  # every 10th of 32, 2 hands
    assert len(pseudo_collate([built[0]])['inputs']) == 1


def test_train_is_what_val_and_test_leave(copy):
    path = copy / 'splits_json' / 'protocol_p1.json'
    path.write_text(json.dumps(dict(train=['s01/b', 's01/a', 's05/x', 's03/y'], val=['s05/x'], test=['s03/y'])))
    assert ArcticFiles(copy, 'p1').sequences('train') == ['s01/a', 's01/b']


def test_fixture_is_what_the_spec_says(release):
    assert set(release[1]) == set(SUBJECTS) and len(list(release[0].glob('images/*/*/*/*.jpg'))) == 2 * 9 * 4
