"""The contact sheet of a config's samples."""
import runpy
import subprocess
import sys
from pathlib import Path

import cv2
from arctic_fixture import write_arctic

from hmradapter.datasets.sources import BEDLAMSource
from hmradapter.synthetic.layouts import write_bedlam

TOOL = Path(__file__).parents[2] / 'tools' / 'misc' / 'browse_dataset.py'
CONFIG = """
train_dataloader = dict(dataset=dict(
    type='HandDataset',
    source=dict(type='ArcticSource', data_root={root!r}, body_model_root={models!r}, split='val', stride=1),
    pipeline=[dict(type='LoadImage'), dict(type='RandomHandAugmentation'), dict(type='HandCrop', image_size=128),
              dict(type='ColorJitter'), dict(type='PackHandInputs')]))
"""


PERSONS = """
val_dataloader = dict(dataset=dict(
    type='PersonDataset', test_mode=True,
    source=dict(type='ArcticSource', data_root={root!r}, body_model_root={models!r}, split='val', stride=1, truth='template'),
    pipeline=[dict(type='LoadImage'), dict(type='PersonCrop', ratio=1.2), dict(type='HeatmapTargets'),
              dict(type='PackPersonInputs')]))
"""


def run(*args):
    return subprocess.run([sys.executable, str(TOOL), *map(str, args)], capture_output=True, text=True)


def test_a_sheet_is_drawn(tmp_path, open_body_models):
    write_arctic(tmp_path / 'data', open_body_models)
    config = tmp_path / 'config.py'
    config.write_text(CONFIG.format(root=str(tmp_path / 'data'), models=str(open_body_models)))
    sheet = tmp_path / 'out' / 'sheet.png'
    done = run(config, '--count', '5', '--out', sheet)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count('guidance 1') == 5 and '5 of 64 samples' in done.stdout
    image = cv2.imread(str(sheet))
    assert image.shape[1] == 2 * 360 + 4 and image.std() > 20
    wrong = run(config, '--cfg-options', 'train_dataloader.dataset.source.data_root=nowhere')
    assert wrong.returncode != 0 and 'misc.json' in wrong.stderr and 'Traceback' not in wrong.stderr


def test_a_sheet_of_persons(tmp_path, open_body_models):
    write_arctic(tmp_path / 'data', open_body_models)
    config = tmp_path / 'config.py'
    config.write_text(PERSONS.format(root=str(tmp_path / 'data'), models=str(open_body_models)))
    sheet = tmp_path / 'sheet.png'
    done = run(config, '--split', 'val', '--count', '3', '--out', sheet)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count('joints 120') == 3 and '3 of 32 samples' in done.stdout
    image = cv2.imread(str(sheet)).astype(int)
    for column in (image[:, :360], image[:, 364:]):  # blue of the left hand's joints and orange of the right one's
        for color in ((250, 160, 60), (40, 140, 250)):
            assert (abs(column - color).max(2) < 60).sum() > 20


TURNED = """
{split}_dataloader = dict(dataset=dict(
    type={kind!r}, source={source},
    pipeline=[dict(type='LoadImage'), dict(type='RandomPersonAugmentation', flip_probability=1.0),
              dict(type='PersonCrop', ratio=1.2), dict(type='HeatmapTargets'), dict(type='PackPersonInputs')]))
"""


def test_meshes_of_parameters_over_turned_pictures_and_those_of_tars(tmp_path, open_body_models, capsys):
    write_bedlam(tmp_path / 'data', open_body_models)
    models, config, sheet = str(open_body_models), tmp_path / 'config.py', tmp_path / 'sheet.png'
    main = runpy.run_path(str(TOOL))['main']  # several times in this process: it takes seconds to start

    def draw(*args):
        main([str(config), '--count', '5', '--out', str(sheet), *args])
        return capsys.readouterr().out, cv2.imread(str(sheet)).astype(int)

    source = dict(type='BEDLAMSource', data_root=str(tmp_path / 'data'), body_model_root=models)
    config.write_text(TURNED.format(split='train', kind='PersonDataset', source=source))
    told, image = draw()
    assert told.count('mesh 1') == 5 and 'closeup' in told and 'Without meshes' not in told
    made = {name: value for name, value in source.items() if name != 'type'}
    assert BEDLAMSource(**made).prepare_at(tmp_path / 'tars', images='tar').holds_images
    config.write_text(TURNED.format(split='train', kind='PersonDataset', source=repr(str(tmp_path / 'tars'))))
    told, again = draw('--body-model-root', models)
    assert told.count('mesh 1') == 5 and (again == image).all()  # the same, drawn out of the tar
    told, plain = draw()
    assert told.count('mesh 0') == 5 and 'give --body-model-root' in told
    veil = (abs(plain - image) > 20).any(2)
    for column in (veil[:, :360], veil[:, 364:]):  # over both pictures of every row
        assert all(column[22 + 364 * row:22 + 364 * row + 360].sum() > 300 for row in range(5))
    told, _ = draw('--body-model-root', str(tmp_path))
    assert 'Without meshes: No SMPL-X model' in told
