"""compare.py: its bootstrap against known laws, one table of several dumps, and what does not match."""
import csv
import json
import math
import runpy
from pathlib import Path

import numpy as np
import pytest

from hmradapter.evaluation.comparison import bootstrap_means, compare
from hmradapter.evaluation.dump_scoring import ScoredFile
from hmradapter.evaluation.protocols import get_protocol
from hmradapter.evaluation.scores import Scores

MAIN = runpy.run_path(str(Path(__file__).parents[2] / 'tools/analysis_tools/compare.py'))['main']


def hands(path, noise=1.0, count=40, keys=None, protocol='hands'):
    """A dump of hands of 30 points whose predictions are `noise` times the same errors."""
    random = np.random.default_rng(0)
    true = random.normal(0, 0.05, (count, 30, 3))
    pred = true + noise * random.normal(0, 0.01, true.shape)
    np.savez(path, meta=np.array(json.dumps(dict(schema='hmradapter.hand_dump/1', protocol_name=protocol))),
             sample_idx=np.arange(count), key=np.array([f'seq{i // 10}/{i}' for i in range(count)] if keys is None else keys),
             is_right=np.arange(count) % 3 > 0, has_mesh=np.ones(count), has_joints=np.ones(count),
             pred_vertices=pred, true_vertices=true, pred_keypoints_3d=pred[:, :21], true_keypoints_3d=true[:, :21])
    return str(path)


def scored(*groups, keys=None):
    """A file of one number whose mean is that of the groups' means."""
    keys = np.arange(len(groups[0])).astype(str) if keys is None else np.array(keys)
    scores = Scores(get_protocol('bodies'), {}, {}, {}, (), 'all', 'persons', cells={'PVE': groups})
    return ScoredFile(scores, keys, 0)


def test_intervals_are_those_of_the_paired_t_test_on_many_samples():
    random = np.random.default_rng(3)
    a = random.gamma(2, 20, 4000)
    b = a + random.normal(-0.5, 10, a.size)
    found, = compare(dict(a=scored(a), b=scored(b)), resamples=4000)
    mean, error = (b - a).mean(), (b - a).std(ddof=1) / math.sqrt(a.size)
    assert found.difference == pytest.approx(mean)
    assert (found.low, found.high) == pytest.approx((mean - 1.96 * error, mean + 1.96 * error), abs=0.03)
    assert found.p == pytest.approx(math.erfc(abs(mean / error) / math.sqrt(2)), abs=5e-3)
    assert found.better == pytest.approx((b < a).mean())


def test_p_is_one_of_equal_systems_and_smallest_where_every_sample_is_better():
    a = np.random.default_rng(0).normal(50, 5, 30)
    equal, better = compare(dict(a=scored(a), same=scored(a), better=scored(a - 1)), resamples=999)
    assert (equal.difference, equal.p) == (0, 1)
    assert (better.low, better.high) == pytest.approx((-1, -1)) and better.p == pytest.approx(2 / 1000)


def test_p_is_uniform_where_nothing_differs():
    random = np.random.default_rng(1)
    values = []
    for _ in range(200):
        a, b = random.normal(50, 5, (2, 60))
        values.append(compare(dict(a=scored(a), b=scored(b)), resamples=400)[0].p)
    steps = np.arange(1, 201) / 200
    assert np.abs(np.sort(values) - steps).max() < 0.13  # 1 % of Kolmogorov's distribution, and a step of p


def test_the_mean_of_groups_and_missing_values_of_either_file_are_respected():
    a = (np.array([1., 2., np.nan, np.nan]), np.array([np.nan, np.nan, 10., np.nan]))
    b = (np.array([2., np.nan, np.nan, np.nan]), np.array([np.nan, np.nan, 14., np.nan]))
    found, = compare(dict(a=scored(*a), b=scored(*b)), resamples=100)
    assert (found.samples, found.reference, found.value, found.difference) == (2, 5.5, 8, 2.5)


def test_samples_of_a_unit_are_drawn_together():
    random = np.random.default_rng(2)
    shift = np.repeat(random.normal(0, 5, 20), 50)  # what a video's frames share
    keys = [f'video{i // 50}/{i}' for i in range(1000)]
    files = dict(a=scored(np.zeros(1000), keys=keys), b=scored(shift + random.normal(0, 0.1, 1000), keys=keys))
    alone, together = (compare(files, 2000, unit=unit)[0] for unit in (None, '^.*/'))
    assert together.high - together.low > 5 * (alone.high - alone.low)
    with pytest.raises(ValueError, match="does not match the key 'video0/0'"):
        compare(files, unit='clip')


def test_few_units_cannot_make_a_difference_certain():
    keys = [f'video{i // 10}/{i}' for i in range(30)]
    found, = compare(dict(a=scored(np.zeros(30), keys=keys), b=scored(np.ones(30), keys=keys)), 1000, unit='^.*/')
    assert found.p == 2 / 2 ** 3 and found.better == 0


def test_draws_are_seeded_and_do_not_depend_on_how_many_fit_into_memory(monkeypatch):
    sums, counts = np.random.default_rng(0).random((50, 3)), np.ones((50, 3))
    whole = bootstrap_means(sums, counts, 100, seed=4)
    assert np.abs(whole.mean(0) - sums.mean(0)).max() < 0.03 and (whole != bootstrap_means(sums, counts, 100, seed=5)).any()
    monkeypatch.setattr('hmradapter.evaluation.comparison._DRAWS_AT_ONCE', 7 * 50)
    np.testing.assert_allclose(bootstrap_means(sums, counts, 100, seed=4), whole, rtol=1e-12)


def test_one_table_a_plot_and_files_of_three_systems(tmp_path, capsys):
    noises = dict(base=1, better=0.8, worse=1.5)
    files = [f'{name}={hands(tmp_path / f"{name}.npz", noise)}' for name, noise in noises.items()]
    out = {kind: tmp_path / f'found.{kind}' for kind in ('csv', 'json')}
    out['plot'] = tmp_path / 'found.png'
    assert MAIN([*files, '--resamples', '500', *(str(x) for kind, path in out.items() for x in (f'--{kind}', path))]) == 0
    said = capsys.readouterr().out
    assert '40 hands, drawn each by itself, 500 resamples, seed 0; hands[' in said and 'PA-MPJPE (mm)' in said
    found = json.loads(out['json'].read_text())
    assert found['reference'] == 'base' and found['files']['worse'].endswith('worse.npz')
    rows = list(csv.DictReader(out['csv'].open()))
    assert len(rows) == len(found['differences']) == 8  # two systems, PVE, PA-PVE, MPJPE, PA-MPJPE
    for row in rows:
        assert (float(row['high']) < 0) == (row['system'] == 'better') and float(row['p']) < 0.05
    assert out['plot'].read_bytes()[:4] == b'\x89PNG'


def test_what_does_not_match_is_named(tmp_path, capsys):
    a, short = hands(tmp_path / 'a.npz'), hands(tmp_path / 'short.npz', count=30)
    other = hands(tmp_path / 'other.npz', protocol='arctic-p1-val')
    strange = hands(tmp_path / 'strange.npz', keys=[f'x{i}' for i in range(40)])
    for arguments, message in [([a], '1 file was given'), ([a, a], "two files are called 'a'"),
                               ([a, short], "short lacks 10 of the 40 samples of a, the first is 'seq3/30'"),
                               ([a, other], 'different protocols'), ([a, strange, '--common'], 'no sample in common'),
                               ([a, short, '--common', '--plot', str(tmp_path / 'a.doc')], "suffix '.doc'"),
                               ([a, str(tmp_path / 'absent.npz')], 'absent.npz')]:
        assert MAIN(arguments) == 1
        assert message in capsys.readouterr().err
    assert MAIN([a, short, '--common', '--resamples', '50']) == 0
    assert '30 hands' in capsys.readouterr().out
    assert MAIN([a, other, '--protocol', 'hands', '--resamples', '50']) == 0
