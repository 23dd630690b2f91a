"""The benchmark runs on any config of an adapted hand expert and writes what it prints."""
import csv
import subprocess
import sys
from pathlib import Path

TOOL = Path(__file__).parents[2] / 'tools' / 'analysis_tools' / 'benchmark.py'


def test_every_group_is_timed_and_written(tmp_path):
    done = subprocess.run([sys.executable, str(TOOL), '--size', 'tiny', '--batch-size', '1', '--repeats', '1', '--threads', '1',
                           '--csv', str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    path, = tmp_path.glob('benchmark-tiny-b1-*.csv')
    rows = list(csv.DictReader(path.open()))
    assert [row['group'] for row in rows] == ['paths'] * 6 + ['training'] * 3 + ['inference'] * 2 + ['memory'] * 2
    assert all(float(row['seconds']) > 0 and row['variant'] in done.stdout for row in rows)
    assert [row['ratio'] for row in rows if row['variant'] in ('backbone, plain attention', 'base')] == ['1.0', '1.0']


def test_a_config_without_an_adapter_is_refused():
    done = subprocess.run([sys.executable, str(TOOL), 'configs/open/hand_expert_open.py'], capture_output=True, text=True,
                          cwd=TOOL.parents[2])
    assert done.returncode == 1 and 'hand_expert_open.py has no adapter' in done.stderr


def test_the_dual_path_is_timed_by_stage(tmp_path, open_body_models):
    done = subprocess.run([sys.executable, str(TOOL), 'configs/open/dual_path_open.py', '--repeats', '1', '--threads', '1',
                           '--csv', str(tmp_path)], capture_output=True, text=True, cwd=TOOL.parents[2])
    assert done.returncode == 0, done.stderr
    path, = tmp_path.glob('benchmark-dual_path_open-*.csv')
    rows = list(csv.DictReader(path.open()))
    assert len(rows) == 14 and {row['dtype'] for row in rows} == {'float32', 'bfloat16'}
    whole, stages = (sum(float(row['seconds']) for row in rows if (row['variant'] == 'whole') == is_whole)
                     for is_whole in (True, False))
    assert 0 < stages < 1.5 * whole
    assert 'vertices in bfloat16 against float32' in done.stdout


def test_made_up_records_are_opened_and_read():
    done = subprocess.run([sys.executable, str(TOOL), 'store', '--records', '70000', '--reads', '50'], capture_output=True,
                          text=True, cwd=TOOL.parents[2])
    assert done.returncode == 0, done.stderr
    assert '70,000 records of' in done.stdout and '140,000' in done.stdout and 'fields, memory-mapped' in done.stdout
    assert '2 processes: ' in done.stdout and 'a hand sample, as tensors' in done.stdout


def test_images_are_read_beside_a_plain_loop():
    few = ['--batch-size', '2', '--repeats', '1', '--hands', '4', '--pictures', '2', '--workers', '1', '--picture-size', '200']
    done = subprocess.run([sys.executable, str(TOOL), 'images', *few], capture_output=True, text=True, cwd=TOOL.parents[2])
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines() if line.startswith('images ')]
    assert [row[-1] for row in rows][0] == '1.000' and len(rows) == 4
    assert done.stdout.count('hands/s') == 4 and done.stdout.count('per second of CPU time') == 4
