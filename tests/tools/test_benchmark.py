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
