"""Importers: other systems' files, written here from a dump of our own, give that dump's numbers back."""
import json
import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator

from hmradapter.body_models import SMPLLayer
from hmradapter.evaluation import HandMeshMetric, WholeBodyMetric
from hmradapter.evaluation.dump import load_dump
from hmradapter.evaluation.dump_scoring import score_file
from hmradapter.evaluation.freihand import write_server_json
from hmradapter.evaluation.matching import match
from hmradapter.evaluation.other_systems import Imported, read_server_json
from hmradapter.geometry.rotations import rotmat_to_axis_angle

from .toy_hands import toy_samples
from .toy_persons import toy_persons, toy_root

MAIN = runpy.run_path(str(Path(__file__).parents[2] / 'tools/analysis_tools/import_predictions.py'))['main']
COUNT = 4


@pytest.fixture(scope='module')
def bodies(tmp_path_factory):
    """(folder of body models, dump, its numbers): two images of two persons each."""
    folder = tmp_path_factory.mktemp('bodies')
    root, samples = toy_root(folder / 'toy'), toy_persons(folder / 'toy', COUNT)
    for i, sample in enumerate(samples):
        sample.set_metainfo(dict(img_path=f'/data/clip{i // 2}/00001.png'))
        sample.crop.box_center, sample.crop.box_size = torch.tensor([100. + 200 * (i % 2), 120.]), torch.tensor([80., 100.])
    evaluator = Evaluator(WholeBodyMetric(str(root), 'bodies', dump_path=str(folder / 'ours.npz')))
    evaluator.process(samples)
    return root, folder / 'ours.npz', evaluator.evaluate(COUNT)


@pytest.fixture(scope='module')
def hands(tmp_path_factory):
    path = tmp_path_factory.mktemp('hands') / 'ours.npz'
    evaluator = Evaluator(HandMeshMetric(dict(right=dict(type='ToyHand'), left=dict(type='ToyHand')), 'hands',
                                         dump_path=str(path)))
    evaluator.process(toy_samples(COUNT))
    return path, evaluator.evaluate(COUNT)


def write_smplerx(folder, dump, image='{clip}/00001.jpg', shift=0):
    """The folder of SMPLer-X's inference for the predictions of a dump, persons of an image in the other order."""
    arrays, _ = load_dump(dump)
    for name in ('smplx', 'meta'):
        (folder / name).mkdir(parents=True)
    for row in range(COUNT):
        stored = {name[len('pred_'):]: values[row] for name, values in arrays.items() if name.startswith('pred_')}
        stored = {name: rotmat_to_axis_angle(torch.from_numpy(value)).reshape(-1, 3).numpy() if value.shape[-2:] == (3, 3)
                  else value[None] for name, value in stored.items()}
        for side, mean in (('left', 0.1), ('right', 0.2)):
            stored[f'{side}_hand_pose'] = stored[f'{side}_hand_pose'] - np.float32(mean)
        stored.update(leye_pose=np.zeros((1, 3)), reye_pose=np.zeros((1, 3)), transl=stored.pop('cam_t'))
        stored.pop('vertices')
        name = f'{row // 2:05}_{1 - row % 2}'
        np.savez(folder / 'smplx' / f'{name}.npz', **stored)
        x, y = arrays['box_center'][row] + shift
        (folder / 'meta' / f'{name}.json').write_text(json.dumps(dict(
            focal=[5000., 5000.], princpt=[320., 240.], bbox=[x - 40, y - 50, 80, 100], bbox_mmdet=[0, 0, 1, 1], bbox_id=0,
            img_path=image.format(clip=f'frames/clip{row // 2}'))))
    return folder


def imported(*arguments) -> int:
    return MAIN([str(argument) for argument in arguments])


def test_smplerx_folder_gets_its_mean_hands_back_and_its_persons_by_their_boxes(bodies, tmp_path, capsys):
    _, dump, found = bodies
    folder = write_smplerx(tmp_path / 'smplerx', dump, shift=3)
    assert imported('smplerx', folder, '--truth', dump, '--out', tmp_path / 'other.npz') == 0
    assert '4 of 4 samples have a prediction; 0 of 4' in capsys.readouterr().out
    again = score_file(tmp_path / 'other.npz').scores.flat()
    assert all(again[name[len('body/'):]] == pytest.approx(value, abs=2e-3) for name, value in found.items())
    assert load_dump(tmp_path / 'other.npz')[0]['pred_focal'].tolist() == [[5000, 5000]] * COUNT


def test_keys_are_given_where_images_do_not_tell(bodies, tmp_path, capsys):
    _, dump, found = bodies
    folder = write_smplerx(tmp_path / 'smplerx', dump, image='00001.jpg')
    command = ['smplerx', folder, '--truth', dump, '--out', tmp_path / 'other.npz']
    assert imported(*command) == 1
    assert 'fits several images of the truth' in capsys.readouterr().err
    (tmp_path / 'keys.json').write_text(json.dumps({f'{row // 2:05}_{1 - row % 2}': f'person{row}' for row in range(COUNT)}))
    assert imported(*command, '--keys', tmp_path / 'keys.json') == 0
    assert score_file(tmp_path / 'other.npz').scores.flat()['PVE'] == pytest.approx(found['body/PVE'], abs=2e-3)
    (tmp_path / 'keys.json').write_text('{}')
    assert imported(*command, '--keys', tmp_path / 'keys.json') == 1
    assert "no key for 4 predictions, the first is '00000_0'" in capsys.readouterr().err


def as_hamer(arrays):
    """Outputs of a right-hand model for hands of both sides."""
    left = arrays['is_right'] == 0
    points = np.where(left[:, None, None], arrays['pred_vertices'] * [-1, 1, 1], arrays['pred_vertices'])
    joints = np.where(left[:, None, None], arrays['pred_keypoints_3d'] * [-1, 1, 1], arrays['pred_keypoints_3d'])
    turn = np.array(((1, -1, -1), (-1, 1, 1), (-1, 1, 1)))
    orient = np.where(left[:, None, None], arrays['pred_global_orient'] * turn, arrays['pred_global_orient'])[:, None]
    pose = np.where(left[:, None, None, None], arrays['pred_hand_pose'] * turn, arrays['pred_hand_pose'])
    return points, joints, dict(global_orient=orient, hand_pose=pose, betas=arrays['pred_betas'])


@pytest.mark.parametrize('suffix', ['npz', 'pt'])
def test_hamers_outputs_of_several_batches_are_turned_to_their_sides(hands, tmp_path, suffix):
    dump, found = hands
    arrays, _ = load_dump(dump)
    points, joints, parameters = as_hamer(arrays)
    for number, part in enumerate((slice(0, 3), slice(3, None))):
        batch = dict(pred_vertices=points[part], pred_keypoints_3d=joints[part], right=arrays['is_right'][part])
        nested = {name: value[part] for name, value in parameters.items()}
        if suffix == 'npz':
            np.savez(tmp_path / f'{number}.npz', pred_mano_params=np.array(nested, dtype=object), **batch)
        else:
            torch.save({name: torch.from_numpy(value) for name, value in batch.items()} | dict(
                pred_mano_params={name: torch.from_numpy(value) for name, value in nested.items()}), tmp_path / f'{number}.pt')
    files = [tmp_path / f'{number}.{suffix}' for number in range(2)]
    assert imported('hamer', *files, '--truth', dump, '--out', tmp_path / 'other.npz') == 0
    again = score_file(tmp_path / 'other.npz').scores.flat()
    assert {f'hands/{name}': value for name, value in again.items()} == pytest.approx(found, abs=2e-3)


def test_the_servers_json_tells_where_the_wrist_is_by_its_fingertips(tmp_path):
    random = np.random.default_rng(0)
    vertices = random.normal(0, 0.05, (3, 778, 3)).astype(np.float32)
    joints = random.normal(0, 0.05, (3, 21, 3)).astype(np.float32)
    joints[:, [4, 8, 12, 16, 20]] = vertices[:, [744, 320, 443, 554, 671]]
    right = np.array([True, True, False])
    for order in ('freihand', 'ho3d'):
        write_server_json(tmp_path / 'pred.json', joints, vertices, order)
        arrays = read_server_json(tmp_path / 'pred.json', right, order).arrays
        np.testing.assert_allclose(arrays['pred_keypoints_3d'][right], joints[right], atol=1e-6)
        np.testing.assert_allclose(arrays['pred_vertices'][2], vertices[2] * [-1, 1, 1], atol=1e-6)
    with pytest.raises(ValueError, match='disagree about where the wrist is'):
        read_server_json(tmp_path / 'pred.json', right, 'freihand')
    with pytest.raises(ValueError, match='has 3 hands, but the truth has 2'):
        read_server_json(tmp_path / 'pred.json', right[:2])


def test_hmr2_gives_meshes_of_smpl_from_vertices_or_parameters(bodies, tmp_path, capsys):
    root, _, _ = bodies
    samples = toy_persons(root, COUNT)
    layer = SMPLLayer(str(root))
    rotations = torch.linalg.qr(torch.randn(COUNT, 24, 3, 3, generator=torch.Generator().manual_seed(0))).Q
    parameters = dict(global_orient=rotations[:, :1], body_pose=rotations[:, 1:], betas=torch.ones(COUNT, 10))
    meshes = layer(**parameters).vertices
    for sample, mesh in zip(samples, meshes, strict=True):
        sample.gt.vertices = mesh + 2
    evaluator = Evaluator(WholeBodyMetric(str(root), '3dpw', dump_path=str(tmp_path / 'ours.npz')))
    evaluator.process(samples)
    evaluator.evaluate(COUNT)
    keys = [sample.key for sample in samples]
    order = [2, 0, 3, 1]
    np.savez(tmp_path / 'mesh.npz', key=np.array(keys)[order], pred_vertices=meshes[order], pred_cam_t=np.zeros((COUNT, 3)))
    torch.save(dict(pred_smpl_params=parameters), tmp_path / 'parameters.pt')
    for name in ('mesh.npz', 'parameters.pt'):
        assert imported('hmr2', tmp_path / name, '--truth', tmp_path / 'ours.npz', '--out', tmp_path / 'other.npz') == 0
        assert all(value == pytest.approx(0, abs=1e-3) for value in score_file(tmp_path / 'other.npz').scores.flat().values())
    np.savez(tmp_path / 'half.npz', pred_cam_t=np.zeros((COUNT, 3)))
    assert imported('hmr2', tmp_path / 'half.npz', '--truth', tmp_path / 'ours.npz', '--out', tmp_path / 'x.npz') == 1
    assert "lacks pred_vertices or ['pred_smpl_params.global_orient'" in capsys.readouterr().err
    assert not (tmp_path / 'x.npz').exists()


class Hostile:
    def __reduce__(self):
        return print, ('run',)


def test_nothing_in_a_file_is_run(bodies, tmp_path, capsys):
    np.savez(tmp_path / 'bad.npz', pred_vertices=np.array([Hostile()], dtype=object))
    assert imported('hmr2', tmp_path / 'bad.npz', '--truth', bodies[1], '--out', tmp_path / 'x.npz') == 1
    said = capsys.readouterr()
    assert said.out == '' and "asks to load 'builtins.print'" in said.err


def test_persons_of_an_image_are_matched_one_to_one_and_some_may_be_missing():
    truth = dict(key=np.array(['a', 'b', 'c']), sample_idx=np.arange(3), img_path=np.array(['x/1.png', 'x/1.png', 'y/1.png']),
                 box_center=np.array([[0., 0], [100, 0], [0, 0]]))

    def found(names, centers):
        given = Imported(None, dict(pred_vertices=np.zeros((len(names), 2, 3))), np.array(names), centers)
        return [part.tolist() for part in match(given, truth)]

    assert found(['x/1.jpg', 'x/1.jpg'], np.array([[60., 0], [90, 0]])) == [[0, 1], [0, 1]]
    assert found(['q/y/1.jpg'], None) == [[0], [2]]
    assert found(['x/1.jpg'], np.array([[80., 0]])) == [[0], [1]]
    assert found(['c', 'a'], None) == [[1, 0], [0, 2]]
    for names, message in ((['x/2.jpg'], 'fits no image'), (['1.jpg'], 'fits several images'), (['x/1.jpg'], 'without boxes'),
                           (['a', 'a'], "'a' has 2 predictions")):
        with pytest.raises(ValueError, match=message):
            found(names, None)
    with pytest.raises(ValueError, match='2 predictions without names and 3 samples'):
        match(Imported(None, dict(pred_vertices=np.zeros((2, 2, 3)))), truth)
