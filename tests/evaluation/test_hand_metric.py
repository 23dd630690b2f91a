"""HandMeshMetric: numbers, sides, missing labels, duplicates, processes, dumps."""
import importlib.util
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.multiprocessing as mp
from mmengine.evaluator import Evaluator

from hmradapter.evaluation import HandMeshMetric, errors, gathered_metric, get_protocol
from hmradapter.evaluation.dump import concatenate, load_dump
from hmradapter.evaluation.scoring import occlusion_quartiles, score
from hmradapter.evaluation.tables import format_scores

from .toy_hands import ToyHand, toy_samples

TOOL = Path(__file__).parents[2] / 'tools/analysis_tools/eval_predictions.py'
spec = importlib.util.spec_from_file_location('eval_predictions', TOOL)
eval_predictions = importlib.util.module_from_spec(spec)
spec.loader.exec_module(eval_predictions)

BODY_MODELS = dict(right=dict(type='ToyHand'), left=dict(type='ToyHand'))


def run_metric(samples, size=None, batch=4, **kwargs):
    metric = HandMeshMetric(BODY_MODELS, **kwargs)
    evaluator = Evaluator(metric)
    for start in range(0, len(samples), batch):
        evaluator.process(samples[start:start + batch])
    return evaluator.evaluate(size if size is not None else len(samples)), metric


def test_numbers_are_those_of_the_error_functions_left_right_and_mean():
    samples = toy_samples(10)
    found, metric = run_metric(samples)
    assert metric.dataset_meta is None
    per_hand = {'left': [], 'right': []}
    for sample in samples:
        true = ToyHand()(sample.gt.global_orient[None], sample.gt.hand_pose[None], sample.gt.betas[None])
        per_hand[sample.hand].append(errors.pve_mm(sample.pred.vertices, true.vertices[0], sample.pred.keypoints_3d[0],
                                                   true.keypoints[0, 0]).item())
    left, right = np.mean(per_hand['left']), np.mean(per_hand['right'])
    assert found['hands/PVE/left'] == pytest.approx(left, abs=6e-4)
    assert found['hands/PVE/right'] == pytest.approx(right, abs=6e-4)
    assert found['hands/PVE'] == pytest.approx((left + right) / 2, abs=6e-4)
    assert {'hands/MPJPE', 'hands/PA-MPJPE', 'hands/PA-PVE', 'hands/wrist-rotation'} < set(found)


def test_a_perfect_prediction_has_no_error_on_either_side_also_with_the_mirrored_right_model():
    samples = toy_samples(6, noise=0)
    found, _ = run_metric(samples)
    assert all(value == pytest.approx(0, abs=2e-2) for value in found.values())  # degrees: arccos near 1 costs digits
    for sample in samples:  # left hands as an estimator makes them: the right model seen in a mirror
        if sample.hand == 'left':
            mirrored = [part * part.new_tensor(((1, -1, -1), (-1, 1, 1), (-1, 1, 1)))
                        for part in (sample.pred.global_orient, sample.pred.hand_pose)]
            mesh = ToyHand()(mirrored[0][None], mirrored[1][None], sample.pred.betas[None])
            sample.pred.vertices = mesh.vertices[0] * torch.tensor([-1., 1, 1])
            sample.pred.keypoints_3d = mesh.keypoints[0] * torch.tensor([-1., 1, 1])
    metric = HandMeshMetric(dict(right=dict(type='ToyHand')))
    metric.process(None, [sample.to_dict() for sample in samples])
    assert metric.evaluate(6)['hands/PVE'] == pytest.approx(0, abs=1e-3)


def test_one_process_and_four_give_identical_numbers_whatever_the_order_batches_and_padding(monkeypatch):
    samples = toy_samples(23)
    expected, single = run_metric(samples, batch=7)
    parts = [[samples[i % 23] for i in range(rank, 24, 4)] for rank in range(4)]  # padded: sample 0 comes twice
    metrics = [HandMeshMetric(BODY_MODELS) for _ in parts]
    for rank, (metric, part) in enumerate(zip(metrics, parts, strict=True)):
        for start in range(0, len(part), rank + 1):
            metric.process(None, [sample.to_dict() for sample in part[start:start + rank + 1]])
    gathered = [concatenate(metric.results) for metric in reversed(metrics)]
    monkeypatch.setattr(gathered_metric, 'all_gather_object', lambda own: gathered)
    assert metrics[0].evaluate(23) == expected
    for name, values in single.scores.rows.items():
        np.testing.assert_array_equal(values, metrics[0].scores.rows[name])


def _worker(rank, world, port, queue):
    torch.distributed.init_process_group('gloo', init_method=f'tcp://127.0.0.1:{port}', rank=rank, world_size=world)
    samples = toy_samples(9)
    found, _ = run_metric([samples[i % 9] for i in range(rank, 10, world)], size=9)
    try:
        run_metric(samples[rank:rank + 1], size=9)
        lost = ''
    except ValueError as error:
        lost = str(error)
    queue.put((rank, found, lost))
    torch.distributed.destroy_process_group()


def test_two_real_processes_agree_with_one_and_both_hear_of_lost_samples(free_port):
    context = mp.get_context('spawn')
    queue = context.SimpleQueue()
    workers = mp.spawn(_worker, args=(2, free_port, queue), nprocs=2, join=False)
    answers = [queue.get() for _ in range(2)]
    while not workers.join():
        pass
    expected, _ = run_metric(toy_samples(9))
    assert all(found == expected for _, found, _ in answers)
    assert all('2 different samples were evaluated, but the dataset has 9' in lost for _, _, lost in answers)


def test_lost_or_colliding_samples_are_an_error():
    with pytest.raises(ValueError, match='5 different samples were evaluated, but the dataset has 6: samples were lost'):
        run_metric(toy_samples(5), size=6)
    with pytest.raises(ValueError, match='given the same place twice'):
        run_metric(toy_samples(5), size=4)


def test_hands_without_labels_are_left_out_and_counted():
    samples = toy_samples(8)
    samples[0].gt.has_betas = torch.tensor(0.)
    samples[3].gt.has_global_orient = torch.tensor(0.)
    _, metric = run_metric(samples)
    scores = metric.scores
    assert np.isnan(scores.rows['pve'][[0, 3]]).all()
    assert np.isfinite(scores.rows['pve'][[1, 2, 4, 5, 6, 7]]).all()
    assert scores.counts['pve'] == dict(left=5, right=1)  # hands 0, 3 and 6 are right ones
    assert scores.counts['wrist_deg'] == dict(left=5, right=2)


def test_a_prediction_that_is_not_finite_is_an_error_that_names_the_sample():
    samples = toy_samples(4)
    samples[2].pred.vertices[3, 1] = math.nan
    with pytest.raises(ValueError, match="pred_vertices of sample 'hand2' is not finite"):
        run_metric(samples)


def test_only_one_side_present_is_its_own_mean():
    samples = [sample for sample in toy_samples(9) if sample.hand == 'right']
    for i, sample in enumerate(samples):
        sample.set_metainfo(dict(sample_idx=i))
    found, _ = run_metric(samples)
    assert found['hands/PVE'] == found['hands/PVE/right']
    assert 'hands/PVE/left' not in found


def test_occlusion_quartiles_are_equal_groups_from_visible_to_hidden():
    samples = toy_samples(12, visibility=True)
    found, metric = run_metric(samples)
    groups = metric.scores.occlusion
    assert [group['hands'] for group in groups] == [3, 3, 3, 3]
    assert groups[0]['visible_from'] == pytest.approx(9 / 12)
    assert groups[3]['visible_to'] == pytest.approx(2 / 12)
    rows = metric.scores.rows['pve']
    is_right = np.array([sample.hand == 'right' for sample in samples])
    last = slice(0, 3)
    expected = (rows[last][is_right[last]].mean() + rows[last][~is_right[last]].mean()) / 2
    assert found['hands/PVE/occlusion-q4'] == pytest.approx(expected, abs=6e-4)
    ties = occlusion_quartiles(metric.scores.rows, is_right, np.ones(12))
    assert [group['hands'] for group in ties] == [3, 3, 3, 3]


def test_protocols_own_up_to_what_was_run_and_refuse_typos():
    protocol = get_protocol('arctic-p1-val')
    assert protocol.on(None) is protocol
    assert protocol.on(dict(dataset='arctic', protocol='p1', split='val', views=tuple(range(1, 9)), stride=10)) is protocol
    changed = protocol.on(dict(views=(1, 2, 3, 7), stride=50))
    assert changed.name == 'arctic-p1-val*'
    assert 'views 1-3,7, stride 50' in changed.id
    assert 'p2 val' in protocol.on(dict(protocol='p2', split='val')).id
    with pytest.raises(ValueError, match="did you mean 'arctic-p1-val'"):
        get_protocol('arctic-p1-vla')
    with pytest.raises(ValueError, match="did you mean 'stride'"):
        get_protocol(dict(name='hands', strid=3))


def test_the_protocols_id_stands_in_every_line_of_the_table():
    _, metric = run_metric(toy_samples(8, visibility=True))
    text = format_scores(metric.scores)
    lines = [line for line in text.splitlines() if any(char.isdigit() for char in line)]
    assert all('arctic-p1-val' in line for line in lines)
    assert sum('views 1-8, stride 10, align wrist' in line for line in lines) == 5


def test_joints_can_be_the_datasets_own():
    samples = toy_samples(4)
    found, _ = run_metric(samples, protocol=dict(name='hands', joints='dataset'))
    per_hand = [errors.mpjpe_mm(sample.pred.keypoints_3d, sample.gt.keypoints_3d[:, :3]).item() for sample in samples]
    right = [sample.hand == 'right' for sample in samples]
    assert found['hands/MPJPE/right'] == pytest.approx(np.mean(np.array(per_hand)[right]), abs=6e-4)


def test_dump_scored_again_gives_the_same_numbers(tmp_path):
    found, metric = run_metric(toy_samples(11, visibility=True), dump_path=str(tmp_path / 'preds.npz'))
    arrays, meta = load_dump(tmp_path / 'preds.npz')
    assert meta['protocol_name'] == 'arctic-p1-val'
    again = score(arrays, get_protocol(meta['protocol_name'])).flat()
    assert {f'hands/{name}': value for name, value in again.items()} == found
    np.testing.assert_array_equal(arrays['error_pve'], metric.scores.rows['pve'])
    assert json.loads(str(np.load(tmp_path / 'preds.npz')['meta']))['schema'] == 'hmradapter.hand_dump/1'


def test_meshes_are_compared_at_the_wrists_also_where_joints_are_the_data_sets():
    """Those are somewhere before the camera, while a mesh is posed without a translation."""
    samples = toy_samples(6)
    for sample in samples:
        sample.gt.keypoints_3d[:, :3] += torch.tensor([0.1, -0.2, 0.7])
    of_model, _ = run_metric(samples)
    of_dataset, _ = run_metric(samples, protocol=dict(name='hands', joints='dataset'))
    for name in ('PVE', 'PVE/left', 'PA-PVE'):
        assert of_dataset[f'hands/{name}'] == pytest.approx(of_model[f'hands/{name}'], abs=2e-3)


def test_freihand_protocol_adds_the_servers_numbers():
    found, _ = run_metric(toy_samples(6), protocol=dict(name='freihand-eval', joints='model'))
    assert 0 < found['hands/freihand_server/mesh_aligned/mean_m'] < 0.1
    assert 'hands/freihand_server/f_aligned/1' in found


def test_bad_configs_are_refused():
    with pytest.raises(ValueError, match="it needs 'right'"):
        HandMeshMetric(dict(left=dict(type='ToyHand')))
    with pytest.raises(ValueError, match='unknown'):
        HandMeshMetric(BODY_MODELS, protocol='nonsense')


def test_eval_predictions_scores_a_dump_and_another_systems_predictions_against_its_truth(tmp_path, capsys):
    found, _ = run_metric(toy_samples(7), dump_path=str(tmp_path / 'preds.npz'))
    assert eval_predictions.main([str(tmp_path / 'preds.npz'), '--json', str(tmp_path / 'scores.json')]) == 0
    assert 'PA-PVE' in capsys.readouterr().out
    again = json.loads((tmp_path / 'scores.json').read_text())['scores']
    assert {f'hands/{name}': value for name, value in again.items()} == found

    arrays, _ = load_dump(tmp_path / 'preds.npz')
    other = {name: arrays[name][::-1] for name in ('key', 'pred_vertices', 'pred_keypoints_3d')}  # no truth, other order
    np.savez(tmp_path / 'other.npz', **other)
    arguments = [str(tmp_path / 'other.npz'), '--truth', str(tmp_path / 'preds.npz'), '--protocol', 'arctic-p1-val',
                 '--json', str(tmp_path / 'other.json')]
    assert eval_predictions.main(arguments) == 0
    again = json.loads((tmp_path / 'other.json').read_text())['scores']
    assert all(found[f'hands/{name}'] == value for name, value in again.items())
    assert not any(name.startswith('wrist-rotation') for name in again)


def test_eval_predictions_says_what_is_wrong_with_a_file(tmp_path, capsys):
    np.savez(tmp_path / 'bad.npz', key=np.array(['a']), pred_vertices=np.zeros((1, 4, 3)))
    (tmp_path / 'text.npz').write_text('no archive')
    for name, message in (('bad.npz', 'lacks'), ('text.npz', 'text.npz'), ('absent.npz', 'absent.npz')):
        assert eval_predictions.main([str(tmp_path / name), '--protocol', 'hands']) == 1
        assert message in capsys.readouterr().err
