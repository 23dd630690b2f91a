"""Streams of HaMeR's tars: everything once, shared out, mixed and shuffled as told; damage is named, code is refused."""
import gzip
import itertools
import shutil
from collections import Counter

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from torch.utils.data import DataLoader

from hmradapter.datasets import HandDataset, HandStream, hand_stream
from hmradapter.datasets.sources import HaMeRTarSource
from hmradapter.engine import HMRRunner
from hmradapter.engine.config import validate
from hmradapter.fileio import UnsafeFileError
from hmradapter.registry import DATASETS
from hmradapter.synthetic.layouts.hamer import encoded, hand_record, write_tar
from hmradapter.synthetic.layouts.shots import take_hand_shots

TARS, IMAGES = 5, 4  # of two hands each
PIPELINE = [dict(type='LoadImage'), dict(type='RandomHandAugmentation'), dict(type='HandCrop', image_size=64, aspect=None),
            dict(type='PackHandInputs')]


@pytest.fixture(scope='module')
def shot(open_body_models):
    return take_hand_shots(open_body_models, 1, (96, 96), ('left', 'right'))[0]


@pytest.fixture(scope='module')
def tars(tmp_path_factory, shot):
    root, image = tmp_path_factory.mktemp('stream'), encoded(shot.image)
    hands = [hand_record(shot, 'left'), hand_record(shot, 'right')]
    for number in range(TARS):
        write_tar(root / 'hands' / f'{number:06d}.tar', [(f'{number}_{i}', 'jpg', image, hands) for i in range(IMAGES)])
    return root


@pytest.fixture
def urls(tars):
    return str(tars / 'hands' / f'{{000000..{TARS - 1:06d}}}.tar')


def keys(items, count=None):
    return [item['key'] for item in itertools.islice(items, count)]


def loader(stream, workers, **options):
    return DataLoader(stream, batch_size=None, num_workers=workers, **options)


def everything():
    return sorted(f'hamer/hands/{tar:06d}/{tar}_{i}/{n}/{side}' for tar in range(TARS) for i in range(IMAGES)
                  for n, side in enumerate(('left', 'right')))


@pytest.mark.parametrize('workers', [0, 2])
def test_one_pass_gives_every_hand_once(urls, workers):
    assert sorted(keys(loader(HandStream(urls, infinite=False, buffer=7), workers))) == everything()


def test_nodes_share_a_pass(urls, monkeypatch):
    found = []
    for rank in range(2):
        monkeypatch.setenv('RANK', str(rank))
        monkeypatch.setenv('WORLD_SIZE', '2')
        found.append(keys(loader(HandStream(urls, infinite=False, buffer=7), 2)))
    assert not set(found[0]) & set(found[1]) and sorted(found[0] + found[1]) == everything()


def test_samples_are_those_of_the_prepared_tars(urls, tars):
    dataset = HandDataset(HaMeRTarSource(tars), guidance=dict(source='none'))
    prepared = {info['key']: info for info in (dataset.get_data_info(i) for i in range(len(dataset)))}
    streamed = {info['key']: info for info in HandStream(urls, infinite=False)}
    assert prepared.keys() == streamed.keys() and len(prepared) == TARS * IMAGES * 2
    for key, info in prepared.items():
        theirs = streamed[key]
        assert set(info) == set(theirs) - {'img_encoded', 'rng'}
        for name in set(info) - {'img_path', 'img_span', 'sample_idx'}:
            if isinstance(info[name], torch.Tensor):
                assert torch.equal(info[name], theirs[name]), name
            else:
                assert np.array_equal(info[name], theirs[name]), name
        with open(info['img_path'], 'rb') as file:
            file.seek(info['img_span'][0])
            assert file.read(info['img_span'][1]) == theirs['img_encoded']


def test_order_and_augmentation_follow_from_the_seed(urls):
    def drawn(**options):
        return keys(HandStream(urls, infinite=False, buffer=7, **options))
    assert drawn() == drawn() and len({tuple(drawn(**options)) for options in (dict(), dict(seed=1), dict(epoch=1))}) == 3
    assert drawn(shuffle=False) == everything() == sorted(drawn(epoch=1))
    assert drawn() != everything()
    streams = [loader(HandStream(urls, PIPELINE, seed=seed, buffer=20), 2) for seed in (0, 0, 1)]
    crops = [torch.stack([item['inputs'] for item in itertools.islice(stream, 6)]) for stream in streams]
    assert torch.equal(crops[0], crops[1]) and not torch.equal(crops[0], crops[2])


@pytest.mark.parametrize('workers', [0, 2, 7])
def test_endless_passes_come_round(urls, workers):
    """Three times what there is: nothing thrice while another is missing, even with more workers than tars."""
    stream = HandStream(urls, buffer=1)
    seen = Counter(keys(loader(stream, workers), 3 * len(everything())))
    if workers == 0:
        assert set(seen.values()) == {3} and sorted(seen) == everything()
    assert len(seen) > 0.8 * len(everything()) and max(seen.values()) <= 7
    assert keys(stream, 40) != keys(HandStream(urls, buffer=1, shuffle=False), 40)


def test_streams_are_mixed_by_weight(urls, tars, tmp_path, shot):
    write_tar(tmp_path / 'other' / '000000.tar', [('x', 'png', encoded(shot.image, '.png'), [hand_record(shot, 'right')])])
    stream = HandStream([dict(urls=urls, weight=3), dict(urls=[str(tmp_path / 'other' / '000000.tar')], weight=1)], buffer=5)
    share = np.mean([key.startswith('hamer/other') for key in keys(stream, 1000)])
    assert abs(share - 0.25) < 0.05
    both = HandStream([urls, str(tmp_path / 'other' / '000000.tar')], infinite=False)
    assert len(keys(both)) == len(everything()) + 1
    with pytest.raises(ValueError, match='weights only with infinite'):
        HandStream([dict(urls=urls, weight=3), urls], infinite=False)


def test_damage_is_named_counted_and_skipped(tars, tmp_path, shot, monkeypatch):
    logged = []
    monkeypatch.setattr(hand_stream, 'print_log', lambda text, logger: logged.append(text))
    shutil.copytree(tars / 'hands', tmp_path / 'hands')
    folder, image = tmp_path / 'hands', encoded(shot.image)
    record = hand_record(shot, 'left')
    write_tar(folder / '000000.tar', [('cut', 'jpg', image[:-300], [record]), ('odd', 'jpg', image, [dict(record, right=None)]),
                                      ('fine', 'jpg', image, [record])])
    raw = (folder / '000001.tar').read_bytes()
    (folder / '000001.tar').write_bytes(raw[:len(raw) // 2])
    stream = HandStream(str(folder / f'{{000000..{TARS - 1:06d}}}.tar'), infinite=False)
    (folder / '000002.tar').unlink()
    found = keys(stream)
    assert stream.dropped == dict(corrupt_image=1, damaged_labels=1, damaged_tar=1, tar_cannot_be_read=1)
    for name in ('000000.tar:cut.jpg', '000000.tar:odd.data.pyd', '000001.tar cannot be read', '000002.tar'):
        assert sum(name in text for text in logged) == 1
    assert 'hamer/hands/000000/fine/0/left' in found and 'hamer/hands/000004/4_3/1/right' in found
    assert len(found) == 1 + 2 * IMAGES * 2 + sum('/000001/' in key for key in found)


class Evil:
    def __reduce__(self):
        return print, ('ran',)


@pytest.mark.parametrize('workers', [0, 1])
def test_code_is_refused_by_name(tmp_path, shot, workers, capfd):
    write_tar(tmp_path / 'bad' / '000000.tar', [('evil', 'jpg', encoded(shot.image), [Evil()])])
    kind = UnsafeFileError if workers == 0 else Exception  # what a worker's becomes on its way is torch's affair
    with pytest.raises(kind, match=r'000000\.tar:evil\.data\.pyd asks to load .*print'):
        keys(loader(HandStream(str(tmp_path / 'bad' / '000000.tar')), workers), 1)
    assert 'ran\n' not in capfd.readouterr().out


def test_streams_without_a_hand_do_not_run_for_ever(tmp_path, shot):
    write_tar(tmp_path / 'e' / '000000.tar', [('a', 'jpg', encoded(shot.image), [])])
    with pytest.raises(ValueError, match=r'gave no hand at all; left out were \{\}'):
        keys(HandStream(str(tmp_path / 'e' / '000000.tar')), 1)


def test_compressed_and_piped(tars, tmp_path):
    plain = tars / 'hands' / '000000.tar'
    (tmp_path / '000000.tar.gz').write_bytes(gzip.compress(plain.read_bytes()))
    expected = [key.split('/', 2)[2] for key in keys(HandStream(str(plain), infinite=False, shuffle=False))]
    for url in (str(tmp_path / '000000.tar.gz'), f'pipe:cat {plain}'):
        found = keys(HandStream(url, infinite=False, shuffle=False))
        assert [key.split('/')[-3:] for key in found] == [key.split('/')[-3:] for key in expected]


@pytest.mark.parametrize('streams, error', [
    ('nowhere/{000000..000002}.tar', 'nowhere/000000.tar does not exist, nor do 2 others'), ([], 'give at least one'),
    ([dict(url='a.tar')], 'give urls and weight'), ([dict(urls=[], weight=1)], 'at least one tar')])
def test_streams_that_are_none(streams, error):
    with pytest.raises((ValueError, FileNotFoundError), match=error):
        HandStream(streams)


def test_options(urls):
    with pytest.raises(ValueError, match='weight above 0'):
        HandStream([dict(urls=urls, weight=0)])
    with pytest.raises(ValueError, match='buffer is 0'):
        HandStream(urls, buffer=0)
    assert len(HandStream(urls)) > 1e18
    with pytest.raises(TypeError, match='no length'):
        len(HandStream(urls, infinite=False))


class Toy(BaseModel):
    """Learns the mean colour."""

    def __init__(self):
        super().__init__()
        self.color = torch.nn.Parameter(torch.zeros(3))

    def forward(self, inputs, data_samples, mode):
        assert mode == 'loss' and inputs.shape[0] == 3 and data_samples.guidance.has_body_pose.sum() == 0
        return dict(loss=(inputs.float().mean((2, 3)) / 255 - self.color).square().mean())


def test_trains_under_mmengine(urls, tmp_path):
    config = dict(
        default_scope='hmradapter', train_cfg=dict(type='IterBasedTrainLoop', max_iters=4),
        train_dataloader=dict(batch_size=3, num_workers=2, sampler=None, persistent_workers=True,
                              collate_fn=dict(type='hmr_collate'),
                              dataset=dict(type='HandStream', streams=[dict(urls=urls, weight=1.0)], pipeline=PIPELINE)),
        optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1)), work_dir=str(tmp_path))
    validate(Config(config))
    assert isinstance(DATASETS.build(config['train_dataloader']['dataset']), HandStream)
    model = Toy()
    hooks = dict(logger=dict(type='LoggerHook', interval=1),
                 checkpoint=dict(type='AtomicCheckpointHook', by_epoch=False, interval=4))
    runner = HMRRunner(model=model, default_hooks=hooks, log_processor=dict(type='LogProcessor', by_epoch=False), **config)
    runner.train()
    assert runner.iter == 4 and model.color.detach().min() > 0 and list(tmp_path.glob('iter_4.pth'))


def test_a_loop_that_resumes_refuses_a_stream(urls, tmp_path):
    runner = HMRRunner(model=Toy(), work_dir=str(tmp_path), default_scope='hmradapter',
                       optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
                       train_dataloader=dict(batch_size=1, sampler=None, dataset=dict(type='HandStream', streams=urls)),
                       train_cfg=dict(type='ResumableTrainLoop', max_iters=1))
    with pytest.raises(ValueError, match='HandStream is a stream.*IterBasedTrainLoop'):
        runner.train()
