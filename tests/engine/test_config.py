"""Mistakes in a config are found before anything is built, and options reach what they name."""
import time

import pytest

from hmradapter.engine.config import ConfigError, load_config

from .conftest import HERE, TOY


@pytest.fixture
def write(tmp_path):
    """`write(text)`: a config of that text on top of the toy."""
    def make(text: str, name: str = 'child.py', base=TOY):
        (tmp_path / name).write_text(f'_base_ = [{str(base)!r}]\n{text}\n')
        return tmp_path / name
    return make


@pytest.mark.parametrize(('text', 'message'), [
    ("model = dict(type='ToyExprt')", "model.type: 'ToyExprt' is not in the model registry. Did you mean 'ToyExpert'?"),
    ('model = dict(widthh=4)', "model.widthh: ToyExpert has no argument 'widthh'. Did you mean 'width'?"),
    ("train_dataloader = dict(sampler=dict(type='ResumableInfinteSampler'))", "Did you mean 'ResumableInfiniteSampler'?"),
    ("train_dataloader = dict(collate_fn=dict(type='toy_colate'))", "Did you mean 'toy_collate'?"),
    ('train_dataloader = dict(batchsize=4)', "train_dataloader.batchsize: train_dataloader has no argument 'batchsize'. "
                                             "Did you mean 'batch_size'?"),
    ('train_dataloader = dict(dataset=dict(nois=1.0))', "train_dataloader.dataset.nois: ToyDataset has no argument 'nois'."),
    ("train_dataloader = dict(dataset=dict(pipeline=[dict(type='HandCrup')]))", "pipeline.0.type: 'HandCrup' is not in the "
                                                                             'transform registry'),
    ("custom_hooks = [dict(type='FrozenParamHook')]", "custom_hooks.0.type: 'FrozenParamHook' is not in the hook registry. "
                                                      "Did you mean 'FrozenParamsHook'?"),
    ('default_hooks = dict(checkpoint=dict(max_keep_ckpt=3))', "Did you mean 'max_keep_ckpts'?"),
    ("default_hooks = dict(checkpoint=dict(priority='LOW', intervl=3))", "'intervl'. Did you mean 'interval'?"),
    ('optim_wrapper = dict(optimizer=dict(weigth_decay=0.1))', "optim_wrapper.optimizer.weigth_decay: AdamW has no argument"),
    ("optim_wrapper = dict(constructor='TrainableParamConstructor')", "Did you mean 'TrainableParamsConstructor'?"),
    ('optim_wrapper = dict(accumulative_count=2)', "Did you mean 'accumulative_counts'?"),
    ('optim_wrapper = dict(clip_grad=dict(maxnorm=2))', "Did you mean 'max_norm'?"),
    ('train_cfg = dict(max_iter=3)',
     "train_cfg.max_iter: ResumableTrainLoop has no argument 'max_iter'. Did you mean 'max_iters'?"),
    ("param_scheduler = [dict(type='LinearLR', start_facter=0.1)]", "param_scheduler.0.start_facter: LinearLR has no argument"),
    ('param_scheduler = [dict(start_factor=0.1)]', "param_scheduler: {'start_factor': 0.1} has no `type`"),
    ("visualizer = dict(vis_backends=[dict(type='TensorBoardVisBackend')])", "Did you mean 'TensorboardVisBackend'?"),
    ('val_evaluator = dict(scael=2.0)', "val_evaluator.scael: ToyMetric has no argument 'scael'. Did you mean 'scale'?"),
    ('env_cfg = dict(mp_cfg=dict(opencv_threads=0))', "Did you mean 'opencv_num_threads'?"),
    ('randomness = dict(sed=1)', "Did you mean 'seed'?"),
    ('train_datalaoder = dict()', "train_datalaoder: nobody reads this top-level name. Did you mean 'train_dataloader'?"),
    ('learning_rate = 3', 'learning_rate: nobody reads this top-level name.'),
])
def test_a_mistake_is_named_with_the_nearest_right_name(write, text, message):
    with pytest.raises(ConfigError) as caught:
        load_config(write(text))
    assert message in str(caught.value) and 'child.py has' in str(caught.value)


def test_all_mistakes_are_told_at_once(write):
    with pytest.raises(ConfigError, match='has 3 mistakes'):
        load_config(write("model = dict(widthh=4, dropuot=1)\nrandomnes = dict(seed=1)"))


def test_a_right_config_passes_fast():
    load_config(TOY)  # imports
    begin = time.perf_counter()
    load_config(TOY, {'data_root': 'x'})
    assert time.perf_counter() - begin < 1.0


def test_an_option_on_a_variable_reaches_all_who_read_it(write):
    path = write("data_root = 'child'\ntrain_dataloader = dict(dataset=dict(data_root=data_root))")
    cfg = load_config(path, {'data_root': '/new', 'batch': 7, 'dataset.type': 'ToyDataset', 'model.width': 3})
    assert cfg.train_dataloader.dataset.data_root == cfg.val_dataloader.dataset.data_root == '/new'
    assert cfg.train_dataloader.batch_size == cfg.test_dataloader.batch_size == 7 and cfg.model.width == 3
    assert cfg.filename == str(path)


def test_an_option_below_a_variable_reaches_all_who_read_it(write):
    path = write("steps = [dict(type='ToyExpert', width=2)]\nmodel = steps[0]\ncustom_imports = dict(imports=['toy'])")
    assert load_config(path, {'steps.0.width': 5}).model.width == 5


@pytest.mark.parametrize(('option', 'message'), [
    ('data_rot', "the config has no 'data_rot'. Did you mean 'data_root'?"),
    ('dataset.data_rot', "train_dataloader.dataset.data_rot: ToyDataset has no argument 'data_rot'. Did you mean 'data_root'?"),
    ('model.widthh', "model.widthh: ToyExpert has no argument 'widthh'. Did you mean 'width'?"),
    ('train_cfg.maxiters', "Did you mean 'max_iters'?"),
    ('model.width.deep', 'model.width is 8, which has nothing below it'),
    ('custom_hooks.7.type', "custom_hooks is a list of 3; '7' is not one of its numbers"),
    ('default_hooks.checkpoint_.interval', "default_hooks has no 'checkpoint_'. Did you mean 'checkpoint'?"),
])
def test_an_option_that_matches_nothing_is_an_error(option, message):
    with pytest.raises(ConfigError) as caught:
        load_config(TOY, {option: 1})
    assert message in str(caught.value)


def test_a_new_key_of_a_typed_variable_is_checked_where_it_is_used():
    assert load_config(TOY, {'dataset.noise': 0.5}).train_dataloader.dataset.noise == 0.5
    with pytest.raises(ConfigError, match="ToyDataset has no argument 'nois'"):
        load_config(TOY, {'dataset.nois': 0.5})


def test_new_keys_that_a_class_takes_are_options(tmp_path):
    cfg = load_config(TOY, {'load_from': 'a.pth', 'model.dropout': 0.0, 'train_dataloader.pin_memory': True,
                            'optim_wrapper.paramwise_cfg.bias_decay_mult': 0.0, 'default_hooks.logger.interval': 5})
    assert cfg.load_from == 'a.pth' and cfg.model.dropout == 0.0 and cfg.optim_wrapper.paramwise_cfg.bias_decay_mult == 0.0


def test_files_that_are_not_configs(tmp_path, write):
    with pytest.raises(ConfigError, match='absent.py does not exist'):
        load_config(tmp_path / 'absent.py')
    with pytest.raises(ConfigError, match='gone.py, a _base_ of .*child.py, does not exist'):
        load_config(write('', base=tmp_path / 'gone.py'))
    with pytest.raises(ConfigError, match='child.py has 1 mistake.*\n  line 2'):
        load_config(write('model = dict('))
    write('', 'a.py', base=tmp_path / 'b.py')
    with pytest.raises(ConfigError, match='in a circle: b.py -> a.py -> b.py'):
        load_config(write('', 'b.py', base=tmp_path / 'a.py'))


@pytest.mark.parametrize('path', sorted((HERE.parents[1] / 'configs').glob('**/*.py')), ids=lambda path: path.name)
def test_the_projects_own_configs_are_right(path):
    if path.parent.name != '_base_':
        load_config(path)


def test_a_part_of_another_config_is_taken_with_changes_on_top(tmp_path, write):
    write("width = 5\nmodel = dict(width=width)", 'part.py')
    whole = write("model = dict(_delete_=True, from_config=('part.py', 'model'), options=dict(width=9), trainable=None)",
                  'whole.py')
    assert load_config(whole).model == dict(type='ToyExpert', width=9, trainable=None)
    assert load_config(whole, {'model.width': 2}).model.width == 2


def test_a_file_is_laid_on_another_base_by_an_option(write):
    other = write("data_root = 'elsewhere'\nmodel = dict(width=5, dropout=0.25)", 'other.py')
    row = write('model = dict(width=2 * _base_.model.width)', 'row.py')
    assert load_config(row).model.width == 16
    cfg = load_config(row, {'_base_': str(other), 'data_root': '/new'})
    assert (cfg.model.width, cfg.model.dropout, cfg.filename) == (10, 0.25, str(row))
    assert cfg.val_dataloader.dataset.data_root == '/new'


def test_a_base_that_is_missing_or_cannot_be_exchanged_is_named(write, tmp_path):
    with pytest.raises(ConfigError, match='gone.py, a _base_ of .*row.py, does not exist'):
        load_config(write('', 'row.py'), {'_base_': str(tmp_path / 'gone.py')})
    with pytest.raises(ConfigError, match='toy_config.py has 1 mistake:\n  it has no _base_ that the option could exchange'):
        load_config(TOY, {'_base_': str(write('', 'row.py'))})


@pytest.mark.parametrize(('part', 'message'), [
    ("('missing.py', 'model')", "is named by from_config, but is not in"),
    ("('part.py', 'modell')", "from_config asks for its 'modell', which it does not have. Did you mean 'model'?")])
def test_a_part_that_is_not_there_is_named(write, part, message):
    write('', 'part.py')
    with pytest.raises(ConfigError, match=message.replace('(', '.').replace(')', '.')):
        load_config(write(f'model = dict(_delete_=True, from_config={part})', 'whole.py'))
