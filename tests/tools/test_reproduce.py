"""The experiment programme: rows that exist, numbers with intervals, a report that says first where the paper is not met."""
import json
import runpy
import signal
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / 'tools'))

from reproduction import commands, estimates, report, runs  # noqa: E402
from reproduction.commands import Clock, Processes, RunError  # noqa: E402
from reproduction.document import Grid, Heading, Items, Text, markdown, page  # noqa: E402
from reproduction.runs import Run  # noqa: E402
from reproduction.scales import SCALES  # noqa: E402
from reproduction.tables import BEYOND, TABLES, table  # noqa: E402

from hmradapter.engine.config import load_config  # noqa: E402

ALL = [*TABLES.values(), *BEYOND.values()]
SEQUENCES, FRAMES = 6, 8


def sequence_shifts(seed, spread):
    shifts = np.random.default_rng(seed).normal(0, spread, SEQUENCES)
    return shifts - shifts.mean()


def evaluation(mean, seed=0, spread=0.0, sides=True, measures=('PVE', 'PA-PVE', 'PA-MPJPE')):
    """Errors about `mean` of hands in SEQUENCES sequences; a sequence's own shift is the same for all that share `seed`."""
    count = SEQUENCES * FRAMES
    shifts = np.repeat(sequence_shifts(seed, spread), FRAMES)
    found = dict(protocol='p', key=[f'arctic/s05/seq{i // FRAMES}/1/{i:05d}/x' for i in range(count)],
                 visibility=np.linspace(1, 0, count).tolist(), errors={name: (mean + shifts).tolist() for name in measures})
    return found | (dict(is_right=[i % 2 for i in range(count)]) if sides else {})


def record(row, mean, seed=0, **options):
    kinds = ('-true', '-predicted', '-none') if row.guided else ('',)
    found = evaluation(mean, spread=1.0)
    return dict(row=row.key, seed=seed, trainable=1000 if row.config else 0, seconds=10.0, train_seconds=8.0, machine='m',
                iterations=5 if row.config else 0, versions=dict(python='3'), curve=dict(loss=[[1, 2.0], [2, 1.0]], PVE=[]),
                evaluations={f'{domain}{kind}': found for domain in ('target', 'source') for kind in kinds}, **options)


@pytest.fixture(scope='module')
def tool():
    """tools/<name>.py by name, as a command has it."""
    return lambda name: runpy.run_path(str(ROOT / 'tools' / f'{name}.py'))


def all_rows():
    return {(found.part, row.key): row for found in ALL for row in found.rows}


@pytest.mark.parametrize('scale', ['smoke', 'tiny', 'paper'])
@pytest.mark.parametrize('part, key', sorted(all_rows()), ids='-'.join)
def test_a_row_is_commands_that_exist_and_configs_that_load(part, key, scale, tool, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    given = {} if SCALES[scale].named_experts else dict(hand='hamer.safetensors', body='smplerx.safetensors')
    run = Run(part, all_rows()[part, key], 1, SCALES[scale], tmp_path, experts=given)
    cfg = run._config()
    if run.trains:
        args = tool('train')['parse_args'](run.training_command()[2:])
        trained = load_config(args.config, args.cfg_options)
        assert trained.randomness.seed == 1 and trained.train_cfg.max_iters == run.iterations == cfg.train_cfg.max_iters
        assert run.iterations == (2 if key == 'no2_scratch' else 1) * (SCALES[scale].iterations or 10_000)
        places = SCALES[scale].validations
        assert args.no_validate == (not places) and (not places or trained.train_cfg.val_interval * places == run.iterations)
        predicted = run.row.train_guidance == 'predicted'
        if part == 'hand':
            guidance = trained.train_dataloader.dataset.guidance
            assert (guidance.path is not None) == (guidance.source == 'file') == predicted
            assert trained.val_dataloader.dataset.guidance.source == 'annotation'
        elif run.row.guided:
            assert trained.model.adapter.get('train_joints', 'annotation') == ('predicted' if predicted else 'annotation')
        scratch = key == 'no2_scratch'
        assert scratch == (trained.model.expert is None)
        assert scratch or scale != 'paper' or trained.model.expert == given[part]
    names = [wanted.name for wanted in run.evaluations]
    assert len(set(names)) == len(names) and report.headline(run.row) in names
    for wanted in run.evaluations:
        args = tool('test')['parse_args'](run.evaluation_arguments(wanted))
        tested = load_config(args.config, args.cfg_options)
        if part.startswith('dual'):
            loaded = [tested.model.body.adapter_file, tested.model.hand.adapter_file]
            assert [str(need.weights) for need in run.needs] == [path for path in reversed(loaded) if path]
            mixtures = [need._config().train_dataloader.dataset.type == 'MixtureDataset' for need in run.needs]
            assert mixtures == [scale == 'paper'] * len(run.needs)  # what the paper's tables 1 and 2 learn from
            assert scale != 'paper' or (tested.model.body.expert, tested.model.hand.expert) == (given['body'], given['hand'])


def test_curves_of_a_record_are_what_training_logged_and_empty_where_it_logged_nothing(tmp_path):
    run = Run('hand', TABLES['3'].rows[-1], 0, SCALES['tiny'], tmp_path)
    assert run._curve() == dict(loss=[], PVE=[])  # shorter than the logger's interval
    log = run.folder / '20260101_000000' / 'vis_data' / 'scalars.json'
    log.parent.mkdir(parents=True)
    log.write_text('{"loss": 2.00004, "step": 50}\n{"hands/PVE": 40.5, "body/PVE": 9.0, "step": 50}\n')
    assert run._curve() == dict(loss=[(50, 2.0)], PVE=[(50, 40.5)])


def test_the_user_s_options_win_but_for_what_the_report_says_of_itself(tmp_path):
    run = Run('hand', TABLES['3'].rows[-1], 0, SCALES['tiny'], tmp_path, options=('iterations=50',))
    assert run.iterations == 50
    whole = Run('dual', TABLES['1'].rows[2], 0, SCALES['tiny'], tmp_path, options=('iterations=50',))
    assert [need.iterations for need in whole.needs] == [50, 50] and whole.identity()  # rows that do not learn go without
    guide = Run('hand', TABLES['3'].rows[-1], 0, SCALES['tiny'], tmp_path, options=('model.adapter.own_norms=True',)).guide
    assert guide.identity() == run.guide.identity()


@pytest.mark.parametrize('arguments, told', [
    (['--cfg-options', 'randomness.seed=3'], 'as many as --seeds says'), (['--cfg-options', 'iterations'], 'must be KEY=VALUE'),
    (['--hand-expert', 'x'], 'the configs name the experts'), (['--rows', 'no9'], "names ['no9']"),
    (['--scale', 'paper', '--hand-expert', 'x', '--rows', 'base'], 'needs --body-expert'),
    (['--seeds', '0'], '0 is not a count'), (['--cfg-options', 'data_root=x'], 'reads several folders'),
    (['--cfg-options', 'guidance.source=none'], 'with true, predicted and no guidance'),
    (['--cfg-options', 'val_dataloader.dataset.guidance.source=none'], 'with true, predicted and no guidance'),
    (['--cfg-options', 'model.adapter.test_joints=none'], 'with true, predicted and no guidance'),
    (['--cfg-options', 'model.adapter.own_norms=True'], 'model.adapter is None'),
    (['--cfg-options', 'iteration=5'], "Did you mean 'iterations'")])
def test_mistakes_are_told_plainly(arguments, told, tool, capsys):
    with pytest.raises(SystemExit) as stopped:
        tool('reproduce')['main'](['--table', '3', *arguments])
    assert told in f'{stopped.value} {capsys.readouterr().err}'


def test_every_row_has_its_file():
    for found in ALL:
        for row in found.rows:
            assert row.config is None or (ROOT / 'configs/ablations' / f'{row.config}.py').is_file()


def test_rows_that_share_a_folder_share_their_runs():
    rows = {}
    for found in ALL:
        keys = [row.key for row in found.rows]
        assert len(set(keys)) == len(keys)
        for row in found.rows:
            same = rows.setdefault((found.part, row.key), row)
            assert (same.config, same.guided, same.train_guidance) == (row.config, row.guided, row.train_guidance)
    for found in ALL:
        for row in found.rows:
            assert all(rows[part, need.key].config == need.config for part, need in row.adapters.items())
    with pytest.raises(ValueError, match="'7'.*beyond-hand"):
        table('7')


def test_an_estimate_is_the_mean_of_sides_and_seeds():
    one, other = evaluation(10.0), evaluation(14.0)
    for name, extra in (('PVE', 6.0), ('PA-PVE', 0.0)):
        one['errors'][name] = [value + extra * right for value, right in zip(one['errors'][name], one['is_right'], strict=True)]
    assert estimates.estimate([one], 'PVE').mean == pytest.approx(13) and estimates.estimate([one], 'PA-PVE').mean == 10
    one['errors']['PVE'][1] = None  # a right hand without truth: the sides still weigh the same
    assert estimates.estimate([one], 'PVE').mean == pytest.approx(13)
    both = estimates.estimate([evaluation(10.0), other], 'PVE')
    assert both.mean == 12 and both.low == 10 and both.high == 14  # constant within a run: only seeds are drawn
    with pytest.raises(ValueError, match='different samples'):
        estimates.estimate([one, dict(other, key=other['key'][::-1])], 'PVE')


def test_intervals_cover_the_spread_of_sequences_and_differences_are_paired():
    wide = estimates.estimate([evaluation(50.0, spread=12.0)], 'PVE')
    expected = 1.96 * sequence_shifts(0, 12.0).std() / np.sqrt(SEQUENCES)
    assert (wide.high - wide.low) / 2 == pytest.approx(expected, rel=0.15)
    better = estimates.estimate([evaluation(45.0, spread=12.0)], 'PVE')
    change = better.relative_to(wide)
    assert change.high < 0 and change.high - change.low < 3 and better.high > wide.low  # sure, though the intervals overlap


def test_quartiles_go_from_visible_to_hidden():
    groups = estimates.occlusion_quartiles(evaluation(1.0))
    assert [label for label, _ in groups][0].startswith('100-') and groups[-1][0].endswith('-0 %')
    assert sum(members.sum() for _, members in groups) == SEQUENCES * FRAMES
    assert estimates.occlusion_quartiles(dict(visibility=[None] * 9)) == []


def report_of(number, means, tmp_path):
    found = TABLES[number]
    records = {row.key: [record(row, means[row.key])] for row in found.rows}
    blocks = report.blocks(report.Results(found, records), tmp_path, 'command', dict.fromkeys(means, 27_000_000))
    return markdown(blocks, tmp_path), blocks


def test_orders_that_differ_are_said_first(tmp_path):
    order = ['no6_ours', 'no5_image_tokens', 'no4_concatenation', 'base', 'no1_full', 'no2_scratch', 'no3_decoder']
    means = {key: 30.0 + 2 * place for place, key in enumerate(order)}
    text, blocks = report_of('3', means, tmp_path)
    assert 'Order by PVE: 21 of 21 pairs of rows are as in the paper, 21 of them beyond chance.' in text
    assert text.count('**yes**') == 4
    text, _ = report_of('3', dict(means, no6_ours=50.0), tmp_path)
    assert 'Order by PVE: 15 of 21' in text and text.index('These are not') < text.index('## Rows')
    assert 'Order by PVE with true guidance: 15 of 21' in text
    assert text.count('(beyond chance)') == 12 and text.count('**no, the opposite**') == 2
    assert '| 38.5 | 36.00' in text and '24.1 (-37 %) | 50.00' in text  # the paper's figure beside ours
    assert (tmp_path / 'occlusion.png').stat().st_size > 5000 and '![PVE by occlusion](occlusion.png)' in text
    html = page(blocks, 't')
    assert html.count('<table>') == sum(isinstance(block, Grid) for block in blocks) and 'data:image/png;base64' in html


def test_rows_beyond_the_paper_are_told_against_its_adapter(tmp_path):
    found = BEYOND['beyond-hand']
    means = dict(base=50.0, no6_ours=40.0, kinematic=30.0)
    records = {row.key: [record(row, means[row.key])] for row in found.rows if row.key in means}
    text = markdown(report.blocks(report.Results(found, records), tmp_path, 'c', {}), tmp_path)
    told = text.split("Against: the paper's adapter")[1].split('##')[0]
    assert 'of those with 23-0 % in sight' in told
    assert '| kinematic guidance (our design) | -25.0 % [' in told and '| frozen expert | +25.0 % [' in told


def test_a_difference_within_chance_is_not_shown(tmp_path):
    found = TABLES['3']
    records = {row.key: [record(row, 30.0)] for row in found.rows}
    text = markdown(report.blocks(report.Results(found, records), tmp_path, 'c', {}), tmp_path)
    assert text.count('**no, within chance**') == 4
    assert 'Order by PVE: 21 of 21 pairs of rows are as in the paper, 0 of them' in text


def test_what_was_measured_of_no_sample_is_left_out(tmp_path):
    found = TABLES['1-ehf']
    records = {row.key: [record(row, 30.0)] for row in found.rows}
    for of_row in records.values():
        evaluated = of_row[0]['evaluations']['target']
        evaluated['errors'] |= {name: evaluated['errors']['PVE'] for name in (*found.measures, 'MRRPE/hands')}
        evaluated['errors']['wrist-rotation/hands'] = [None] * len(evaluated['key'])  # scans have no rotations
    results = report.Results(found, records)
    assert results.of(found.rows[0], 'wrist-rotation/hands') is None and results.of(found.rows[0], 'MRRPE/hands').mean == 30
    text = markdown(report.blocks(results, tmp_path, 'c', {}), tmp_path)
    assert 'Order by PVE/hands' in text and 'rotation of the wrists' not in text


def test_rows_that_were_not_run_are_left_out(tmp_path):
    found = TABLES['3']
    records = {row.key: [record(row, 30.0)] for row in found.rows[:2]}
    text = markdown(report.blocks(report.Results(found, records), tmp_path, 'c', {}), tmp_path)
    assert text.count(': not run.') == 4 and 'No. 6' not in text.split('## Rows')[1]


def test_a_document_says_the_same_in_both_forms(tmp_path):
    blocks = [Heading('A'), Text('b **c** `d` <e>'), Items(['f', 'g']), Grid(['h', 'i'], [['j', 'k']])]
    assert markdown(blocks, tmp_path) == '## A\n\nb **c** `d` <e>\n\n- f\n- g\n\n| h | i |\n| --- | --- |\n| j | k |\n'
    assert '<h2>A</h2><p>b <b>c</b> <code>d</code> &lt;e&gt;</p><ul><li>f</li><li>g</li></ul>' in page(blocks, 't')


@pytest.fixture
def ours(tmp_path):
    return Run('hand', TABLES['3'].rows[-1], 0, SCALES['smoke'], tmp_path)


def test_what_is_done_is_not_done_again(ours):
    ours.folder.mkdir(parents=True)
    ours._begin(ours.identity())
    (ours.folder / 'run.json').write_text(json.dumps(dict(identity=ours.identity(), row='no6_ours')))
    shares = []
    assert ours.perform(shares.append, Processes())['row'] == 'no6_ours' and shares == [1.0]
    assert json.loads((ours.folder / 'versions.json').read_text()) == commands.versions()


def test_what_another_config_left_makes_room(ours):
    ours.folder.mkdir(parents=True)
    (ours.folder / 'identity').write_text('another config')
    (ours.folder / 'half.pth').touch()
    ours._begin('this')
    assert sorted(path.name for path in ours.folder.iterdir()) == ['identity', 'versions.json']
    (ours.folder / 'run.json').write_text(json.dumps(dict(identity='0123456789', row='no6_ours')))
    assert ours.record() is None
    ours._begin('that')
    aside = ours.folder.with_name('seed0.01234567')
    assert json.loads((aside / 'run.json').read_text())['row'] == 'no6_ours' and not (ours.folder / 'run.json').exists()


def test_two_processes_do_not_share_a_folder(ours):
    with commands.alone_in(ours.folder), pytest.raises(RunError, match="another process's"):
        ours.perform(lambda share: None, Processes())


def test_seconds_of_all_starts_are_kept(tmp_path):
    for seconds in (0.05, 0.1):
        with pytest.raises(KeyboardInterrupt), Clock(tmp_path / 'seconds.json').counting('training'):
            time.sleep(seconds)
            raise KeyboardInterrupt
    assert 0.15 <= Clock(tmp_path / 'seconds.json').seconds['training'] < 1


def test_stopped_processes_end_and_none_begins(tmp_path):
    processes, ended = Processes(), []

    def sleep():
        with pytest.raises(RunError, match=f'exit status {-signal.SIGTERM}'):
            processes.run([sys.executable, '-c', 'import time; print("up", flush=True); time.sleep(60)'], tmp_path / 'log')
        ended.append(True)
    thread = threading.Thread(target=sleep)
    thread.start()
    while 'up' not in commands.tail(tmp_path / 'log', 1):
        time.sleep(0.05)
    processes.stop()
    thread.join(10)
    assert ended
    with pytest.raises(RunError, match='stopped'):
        processes.run([sys.executable, '-c', ''], tmp_path / 'log')


def test_what_is_done_is_done_again_when_what_it_depends_on_has_changed(tmp_path, monkeypatch):
    ours, base = (Run('hand', row, 0, SCALES['smoke'], tmp_path) for row in (TABLES['3'].rows[-1], TABLES['3'].rows[0]))
    dual = Run('dual', TABLES['1'].rows[2], 0, SCALES['smoke'], tmp_path)
    before = [run.identity() for run in (ours, base, dual)]
    mark = commands.file_mark
    for module in (runs, sys.modules['reproduction.guides']):
        monkeypatch.setattr(module, 'file_mark', lambda path: 'new' if path and 'whole_body' in path else mark(path))
    after = [run.identity() for run in (ours, base, dual)]  # by other bodies that guide
    assert after[0] != before[0] and after[1] == before[1] and after[2] != before[2]


def test_whole_persons_are_told_against_the_expert_and_by_their_hands(tmp_path):
    found = TABLES['1']
    means = dict(expert=50.0, combined=52.0, ours=40.0, two_rounds=39.0)
    records = {row.key: [dict(record(row, 0.0), iterations=0, evaluations=dict(
        target=evaluation(means[row.key], sides=False, measures=found.measures)))] for row in found.rows}
    text = markdown(report.blocks(report.Results(found, records), tmp_path, 'c', {}), tmp_path)
    assert 'Order by PVE: 2 of 3 pairs' in text and 'Order by PVE/hands: 3 of 3 pairs' in text
    assert '| 40.7 (-16 %) | 40.00 [40.00, 40.00] (-20 %)' in text and 'full size' not in text and 'What guides' not in text
    assert '| dual path, a second round | 1,000 | - | 39.00' in text and 'Where the hands are' not in text


def test_wrists_are_told_with_every_guidance(tmp_path):
    found, row = TABLES['3'], TABLES['3'].rows[-1]
    told = record(row, 30.0)
    told['evaluations']['target-none'] = evaluation(25.0, measures=('PVE', 'PA-PVE', 'PA-MPJPE', 'wrist-rotation'))
    text = markdown(report.blocks(report.Results(found, {row.key: [told]}), tmp_path, 'c', {}), tmp_path)
    assert text.split('Where the hands are')[1].split('##')[0].count(row.title) == 1
    assert f'| {row.title} | none | 25.00 [25.00, 25.00] |' in text


def test_a_failing_command_shows_the_end_of_its_log(tmp_path):
    with pytest.raises(RunError, match='(?s)exit status 3.*the reason'):
        Processes().run([sys.executable, '-c', 'print("the reason"); raise SystemExit(3)'], tmp_path / 'log')


def test_evaluations_share_a_process(tmp_path):
    requests = tmp_path / 'requests.json'
    requests.write_text('[["configs/no_such.py", "--adapter", "none"]]')
    with pytest.raises(RunError, match=r'evaluate\.py: .*no_such'):
        Processes().run([sys.executable, 'tools/reproduction/evaluate.py', str(requests)], tmp_path / 'log')
