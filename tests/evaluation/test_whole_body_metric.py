"""WholeBodyMetric: numbers, missing labels, duplicates, processes, protocols, dumps."""
import math

import numpy as np
import pytest
import torch
import torch.multiprocessing as mp
from mmengine.evaluator import Evaluator

from hmradapter.evaluation import WholeBodyMetric, gathered_metric, get_protocol, load_body_regions, score_bodies
from hmradapter.evaluation.body_scoring import BodyScorer
from hmradapter.evaluation.dump import concatenate, load_dump
from hmradapter.evaluation.tables import format_scores
from hmradapter.evaluation.whole_body_errors import inside_picture, whole_body_errors
from hmradapter.geometry.cameras import intrinsic_matrix

from .toy_persons import toy_persons, toy_root


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    return toy_root(tmp_path_factory.mktemp('bodies') / 'toy')


def run_metric(root, samples, size=None, batch=4, protocol='bodies', **kwargs):
    metric = WholeBodyMetric(str(root), protocol, **kwargs)
    evaluator = Evaluator(metric)
    for start in range(0, len(samples), batch):
        evaluator.process(samples[start:start + batch])
    return evaluator.evaluate(size if size is not None else len(samples)), metric


def test_numbers_are_the_means_of_the_error_functions(root):
    samples = toy_persons(root, 6)
    found, metric = run_metric(root, samples)
    meshes = (torch.stack([sample.get(group).vertices for sample in samples]) for group in ('pred', 'gt'))
    expected = whole_body_errors(*meshes, load_body_regions(root))
    for name, row in {'PVE': 'pve', 'PVE/hands': 'pve_hands', 'PVE/left': 'pve_left_hand', 'PA-PVE/face': 'pa_pve_face',
                      'MPJPE/upper': 'mpjpe_upper', 'PA-MPJPE/right': 'pa_mpjpe_right_hand', 'MRRPE/hands': 'mrrpe'}.items():
        assert found[f'body/{name}'] == pytest.approx(expected[row].mean().item(), abs=6e-4)
    assert metric.scores.counts['pve'] == dict(all=6)
    assert found['body/wrist-rotation/hands'] == pytest.approx(
        (found['body/wrist-rotation/left'] + found['body/wrist-rotation/right']) / 2, abs=2e-3)


def test_a_perfect_prediction_has_no_error_wherever_it_stands(root):
    found, _ = run_metric(root, toy_persons(root, 3, noise=0))
    assert all(value == pytest.approx(0, abs=2e-2) for value in found.values())  # degrees: arccos near 1 costs digits


def test_one_process_and_four_give_identical_numbers_whatever_the_order_batches_and_padding(root, monkeypatch):
    samples = toy_persons(root, 11)
    expected, single = run_metric(root, samples, batch=7)
    parts = [[samples[i % 11] for i in range(rank, 12, 4)] for rank in range(4)]  # padded: sample 0 comes twice
    metrics = [WholeBodyMetric(str(root), 'bodies') for _ in parts]
    for rank, (metric, part) in enumerate(zip(metrics, parts, strict=True)):
        for start in range(0, len(part), rank + 1):
            metric.process(None, [sample.to_dict() for sample in part[start:start + rank + 1]])
    gathered = [concatenate(metric.results) for metric in reversed(metrics)]
    monkeypatch.setattr(gathered_metric, 'all_gather_object', lambda own: gathered)
    assert metrics[0].evaluate(11) == expected
    for name, values in single.scores.rows.items():
        np.testing.assert_array_equal(values, metrics[0].scores.rows[name])


def _worker(rank, world, port, root, dump, queue):
    torch.distributed.init_process_group('gloo', init_method=f'tcp://127.0.0.1:{port}', rank=rank, world_size=world)
    samples = toy_persons(root, 5)
    found, _ = run_metric(root, [samples[i % 5] for i in range(rank, 6, world)], size=5, dump_path=dump)
    try:
        run_metric(root, samples[rank:rank + 1], size=5)
        lost = ''
    except ValueError as error:
        lost = str(error)
    queue.put((rank, found, lost))
    torch.distributed.destroy_process_group()


def test_two_real_processes_agree_with_one_and_both_hear_of_lost_samples(root, tmp_path, free_port):
    context = mp.get_context('spawn')
    queue = context.SimpleQueue()
    arguments = (2, free_port, root, str(tmp_path / 'two.npz'), queue)
    workers = mp.spawn(_worker, args=arguments, nprocs=2, join=False)
    answers = [queue.get() for _ in range(2)]
    while not workers.join():
        pass
    expected, _ = run_metric(root, toy_persons(root, 5), dump_path=str(tmp_path / 'one.npz'))
    assert all(found == expected for _, found, _ in answers)
    assert all('2 different samples were evaluated, but the dataset has 5' in lost for _, _, lost in answers)
    two, one = (load_dump(tmp_path / f'{name}.npz')[0] for name in ('two', 'one'))
    for name in one:
        np.testing.assert_array_equal(one[name], two[name])
    assert sorted(path.name for path in tmp_path.iterdir()) == ['one.npz', 'two.npz']


def test_lost_or_colliding_samples_are_an_error(root):
    with pytest.raises(ValueError, match='5 different samples were evaluated, but the dataset has 6: samples were lost'):
        run_metric(root, toy_persons(root, 5), size=6)
    with pytest.raises(ValueError, match='given the same place twice'):
        run_metric(root, toy_persons(root, 5), size=4)


def test_persons_without_a_mesh_or_a_known_arm_are_left_out(root):
    samples = toy_persons(root, 4)
    samples[1].gt.has_vertices = torch.tensor(0.)
    samples[2].gt.pose_valid[19] = 0.  # the right elbow: the right wrist's rotation is unknown
    _, metric = run_metric(root, samples)
    rows = metric.scores.rows
    assert np.flatnonzero(np.isnan(rows['pve'])).tolist() == [1]
    assert np.flatnonzero(np.isnan(rows['wrist_deg_right_hand'])).tolist() == [2]
    assert rows['wrist_deg_hands'][2] == rows['wrist_deg_left_hand'][2]
    for sample in samples:
        sample.gt.has_vertices = torch.tensor(0.)
    with pytest.raises(ValueError, match='no sample has a true mesh'):
        run_metric(root, samples)
    del samples[0].gt.vertices
    with pytest.raises(ValueError, match="'person0' has no gt.vertices"):
        run_metric(root, samples)


def test_a_prediction_that_is_not_finite_is_an_error_that_names_the_sample(root):
    samples = toy_persons(root, 4)
    samples[2].pred.vertices[3, 1] = math.nan
    with pytest.raises(ValueError, match="prediction of sample 'person2' is not finite"):
        run_metric(root, samples)


def test_quartiles_by_how_much_of_the_hands_is_seen(root):
    found, metric = run_metric(root, toy_persons(root, 8, visibility=True))
    hidden = metric.scores.rows['pve_hands'][[0, 1]].mean()
    assert found['body/PVE/hands/occlusion-q4'] == pytest.approx(hidden, abs=6e-4)
    text = format_scores(metric.scores)
    assert 'Q4: 0% to 12% visible' in text and 'PVE/hands (mm)' in text
    assert all('bodies' in line for line in text.splitlines() if any(char.isdigit() for char in line))


def test_dump_scored_again_gives_the_same_numbers(root, tmp_path):
    found, metric = run_metric(root, toy_persons(root, 5, visibility=True), dump_path=str(tmp_path / 'preds.npz'))
    arrays, meta = load_dump(tmp_path / 'preds.npz')
    assert meta['schema'] == 'hmradapter.body_dump/1' and meta['body_model_root'] == str(root)
    protocol = get_protocol('bodies')
    again = score_bodies(arrays, protocol, BodyScorer(protocol, root))
    assert {f'body/{name}': value for name, value in again.flat().items()} == found
    np.testing.assert_array_equal(arrays['error_pve_hands'], metric.scores.rows['pve_hands'])


def test_a_dump_without_meshes_holds_what_guides_hands_and_the_same_errors(root, tmp_path):
    samples = toy_persons(root, 3)
    found, _ = run_metric(root, samples, dump_path=str(tmp_path / 'whole.npz'))
    assert run_metric(root, samples, dump_path=str(tmp_path / 'small.npz'), dump_meshes=False)[0] == found
    whole, small = (np.load(tmp_path / f'{name}.npz') for name in ('whole', 'small'))
    assert set(whole) - set(small) == {'pred_vertices', 'true_vertices'}
    for name in small:
        np.testing.assert_array_equal(small[name], whole[name])
    with pytest.raises(ValueError, match="lacks .'pred_vertices'"):
        load_dump(tmp_path / 'small.npz')


def test_only_points_that_project_into_the_image_count_for_ubody(root):
    samples = toy_persons(root, 2)
    everything, _ = run_metric(root, samples)
    inside, _ = run_metric(root, samples, protocol='ubody')
    assert inside == everything
    samples[1].crop.img_size = torch.tensor([640., 240.])  # the lower half of the image is cut away
    partly, metric = run_metric(root, samples, protocol='ubody')
    crop = samples[1].crop
    seen = inside_picture(intrinsic_matrix(crop.focal, crop.princpt), crop.img_size)(samples[1].gt.vertices[None])
    assert 0 < seen.sum() < seen.numel()
    assert partly['body/PVE'] != everything['body/PVE'] and metric.scores.rows['pve'][0] > 0
    samples[1].crop.img_size = torch.tensor([1., 1.])
    _, metric = run_metric(root, samples, protocol='ubody')
    assert np.isnan(metric.scores.rows['pve'][1]) and metric.scores.counts['pve'] == dict(all=1)
    del samples[0].crop.img_size
    with pytest.raises(ValueError, match=r"'person0' lacks \['img_size'\]"):
        run_metric(root, samples, protocol='ubody')


def test_3dpw_compares_smpl_meshes_of_smplx_and_of_smpl_predictions(root):
    samples = toy_persons(root, 3)
    smpl = get_protocol('3dpw')
    scorer = BodyScorer(smpl, root)
    for sample in samples:
        sample.gt.vertices = (scorer.smpl.from_smplx @ sample.pred.vertices.double()).float() + 1
    found, _ = run_metric(root, samples, protocol='3dpw')
    # the truth is the mapped prediction; each mesh has a pelvis of its own, which only a similarity takes away
    assert found['body/PA-PVE'] == found['body/PA-MPJPE/mapped'] == 0 < found['body/PVE']
    assert found['body/PA-MPJPE'] > 0 and not any('hands' in name for name in found)
    for sample in samples:
        sample.pred.vertices = sample.gt.vertices - 3
    found, _ = run_metric(root, samples, protocol='3dpw')
    assert all(value == pytest.approx(0, abs=1e-3) for value in found.values())
    with pytest.raises(ValueError, match="'person0' has 70 vertices"):
        run_metric(root, samples, protocol='ehf')


def test_protocols_are_of_hands_or_of_bodies_and_say_which_truth_was_used(root):
    with pytest.raises(ValueError, match=r"protocol 'arctic-p1-val' is not for whole bodies; known are \['3dpw'"):
        WholeBodyMetric(str(root), 'arctic-p1-val')
    with pytest.raises(ValueError, match="did you mean 'ehf'"):
        get_protocol('efh')
    with pytest.raises(ValueError, match='sight is'):
        get_protocol(dict(name='bodies', sight='crop'))
    protocol = get_protocol('arctic-body-p1-val')
    assert protocol.on(dict(protocol='p1', split='val', views=range(1, 9), stride=10, truth='template')) is protocol
    other = protocol.on(dict(truth='neutral'))
    assert other.name == 'arctic-body-p1-val*' and 'truth neutral' in other.id
    assert 'smplx2smpl' in get_protocol('3dpw').id and 'projects into the image' in get_protocol('ubody').id
