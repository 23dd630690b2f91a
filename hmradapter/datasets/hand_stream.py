"""Hands streamed out of tars by the `webdataset` library, for images too many for one disk: HaMeR's own form of training.

Nothing is prepared and nothing is indexed: tars are read from front to end, from a disk or a server, shared by nodes and
workers, and shuffled as well as a buffer can. What that costs, against a prepared store: no length, no exact subset, an order
that depends on the number of workers, and a restart that goes on with other samples, or replays, as MMEngine's loop does.
"""
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import webdataset as wds
from mmcv.transforms import Compose
from mmengine.logging import print_log
from torch.utils.data import IterableDataset
from webdataset.utils import pytorch_worker_info

from hmradapter.registry import DATASETS, TRANSFORMS

from .formats.hamer import HandFilters, hand_records
from .formats.hamer_tars import HandSample, hand_samples, sample_key
from .hands import hand_sample
from .record import SIDES

DATASET, PADDED = 'hamer', 2.0     # as the records of `HaMeRTarSource`
SAID = 5                           # drops of each reason that a worker logs one by one
QUIET = ('few_joints', 'bad_fit')  # what a filter does is counted, not logged
ENDLESS = 2 ** 62                  # samples; MMEngine's hooks ask where an epoch ends
EMPTY_PASSES = 2                   # over a stream's tars without one hand, before that is an error


class Stream(NamedTuple):
    """Tars that belong together: their names, and how often they are drawn from against other streams."""
    urls: list[str]
    weight: float


@DATASETS.register_module()
class HandStream(IterableDataset):
    """One item per hand, forever, the same dict through the same pipeline as `HandDataset(source=dict(type='HaMeRTarSource'))`
    gives, without a guiding body.

        train_dataloader = dict(batch_size=32, num_workers=4, sampler=None, collate_fn=dict(type='hmr_collate'),
                                dataset=dict(type='HandStream', streams=[dict(urls='tars/freihand-train/{000000..000130}.tar',
                                                                             weight=0.25), ...], pipeline=[...]))
        train_cfg = dict(type='IterBasedTrainLoop', max_iters=...)

    Every draw, order and augmentation, follows from `seed`, node and worker; the same number of both gives the same samples.

    Args:
        streams: urls with {000000..000130}, a list of them, or dicts of urls and weight. A url is a file, http(s)://..., or
            'pipe:COMMAND', which webdataset RUNS: configs are code, and this is why.
        pipeline: transforms.
        filters: numbers of `hamer.HandFilters` that differ from HaMeR's.
        infinite: pass after pass, each in another order; nodes and workers take turns at the tars of all passes, so any number
            of tars will do. False: one pass, each hand once; streams follow one another and have no weights.
        shuffle: tars, and hands in a buffer.
        buffer: hands that wait in each worker and stream to be drawn, about 50 KB each.
        seed: of all of it.
        epoch: of a finite pass: another number, another order.
    """
    metainfo = dict(dataset=DATASET, split='train')

    def __init__(self, streams: str | Sequence, pipeline: Sequence = (), filters: dict | None = None, infinite: bool = True,
                 shuffle: bool = True, buffer: int = 1000, seed: int = 0, epoch: int = 0):
        super().__init__()
        self.streams = [_stream(one) for one in ([streams] if isinstance(streams, str) else streams)]
        weights = {stream.weight for stream in self.streams}
        if not self.streams or (not infinite and len(weights) > 1):
            raise ValueError(f'streams is {streams!r}: give at least one, and weights only with infinite=True, for one pass '
                             'takes each hand once.')
        if buffer < 1:
            raise ValueError(f'buffer is {buffer}: at least one hand must wait.')
        self.filters, self.infinite, self.shuffle = HandFilters(**(filters or {})), bool(infinite), bool(shuffle)
        self.buffer, self.seed, self.epoch = int(buffer), int(seed), int(epoch)
        self.pipeline = Compose([TRANSFORMS.build(step) if isinstance(step, dict) else step for step in pipeline])
        self.dropped: Counter = Counter()  # by reason, of this process

    def __len__(self) -> int:
        if not self.infinite:
            raise TypeError('one pass of a HandStream has no length: nobody has counted its hands before they were read.')
        return ENDLESS

    def __iter__(self) -> Iterator[dict]:
        node, _, worker, _ = pytorch_worker_info()
        who = (self.seed, self.epoch, node, worker)
        for count, info in enumerate(self._mixed(who)):
            info['sample_idx'], info['rng'] = count, np.random.default_rng((*who, count))
            yield self.pipeline(info)

    def _mixed(self, who: tuple) -> Iterator[dict]:
        """Hands of all streams before the pipeline."""
        sources = [self._hands(number, who) for number in range(len(self.streams))]
        if not self.infinite:
            for source in sources:
                yield from source
            return
        rng, weights = random.Random(f'mixture {who}'), [stream.weight for stream in self.streams]
        while True:
            yield next(rng.choices(sources, weights)[0])

    def _hands(self, number: int, who: tuple) -> Iterator[dict]:
        """Hands of one stream that fall to this worker."""
        urls = wds.split_by_worker(wds.split_by_node(self._urls(number)))
        hands, limit = self._read(urls, EMPTY_PASSES * len(self.streams[number].urls)), self.buffer
        if not self.shuffle:
            return hands
        rng = random.Random(f'buffer {number} {who}')
        return wds.shuffle(limit, initial=limit, rng=rng)(hands)

    def _urls(self, number: int) -> Iterator[str]:
        """Tars of one stream in the order that all nodes and workers agree on."""
        turn = self.epoch
        while True:
            urls = list(self.streams[number].urls)
            if self.shuffle:
                random.Random(f'tars {number} {self.seed} {turn}').shuffle(urls)
            yield from urls
            if not self.infinite:
                return
            turn += 1

    def _read(self, urls: Iterator[str], patience: int) -> Iterator[dict]:
        empty = 0
        for url in urls:
            given = 0
            for info in self._tar(url):
                given += 1
                yield info
            empty = 0 if given else empty + 1
            if self.infinite and empty >= patience:
                raise ValueError(f'the last {empty} tars up to {url} gave no hand at all; left out were {dict(self.dropped)}.')

    def _tar(self, url: str) -> Iterator[dict]:
        name = url.rsplit(':', 1)[-1] if url.startswith('pipe:') else url
        tar = '/'.join(Path(name).parts[-2:]).removesuffix('.tar')
        try:
            with wds.gopen(url) as file:
                for sample in hand_samples(file, url, self.filters, self._drop, streamed=True):
                    yield from _samples(sample, tar, url)
        except OSError as error:  # missing, or a command that failed
            self._drop('tar_cannot_be_read', url, f'{url}: {error}')

    def _drop(self, reason: str, name: str, why: str) -> None:
        self.dropped[reason] += 1
        if reason not in QUIET and self.dropped[reason] <= SAID:
            last = ' (more of this kind are counted only)' if self.dropped[reason] == SAID else ''
            print_log(f'left out, {reason}: {why or name}{last}', 'current')


def _samples(sample: HandSample, tar: str, url: str) -> Iterator[dict]:
    """The hands of one image as the pipeline takes them."""
    records = hand_records(sample.hands, DATASET, np.tile(sample.size, (len(sample.numbers), 1)), PADDED)
    for record, number, is_right in zip(records, sample.numbers, sample.hands.is_right, strict=True):
        labels = hand_sample(record, SIDES[int(is_right)], sample_key(DATASET, tar, sample.key, number))
        yield dict(labels, img_path=f'{url}:{sample.image.name}', img_encoded=sample.image.data, img_span=None, rot90=0,
                   img_size=np.float32(sample.size), focal=record['focal'], princpt=record['princpt'],
                   body_pose=torch.zeros(22, 3, 3), has_body_pose=0.0)


def _stream(given) -> Stream:
    """A url, several, or dict(urls, weight), with braces expanded and local files looked up."""
    given = dict(given) if isinstance(given, dict) else dict(urls=given)
    unknown = sorted(set(given) - {'urls', 'weight'})
    if unknown or 'urls' not in given:
        raise ValueError(f'a stream is {given}: give urls and weight, nothing else.')
    patterns = [given['urls']] if isinstance(given['urls'], str) else list(given['urls'])
    urls = [url for pattern in patterns for url in wds.SimpleShardList(pattern).urls]
    weight = float(given.get('weight', 1.0))
    if not urls or not weight > 0:
        raise ValueError(f'a stream is {given}: give at least one tar, and a weight above 0.')
    missing = [url for url in urls if '://' not in url and not url.startswith('pipe:') and not Path(url).is_file()]
    if missing:
        raise FileNotFoundError(f'{missing[0]} does not exist, nor do {len(missing) - 1} others of the {len(urls)} tars that '
                                f'{patterns} names: HaMeR\'s tars come from https://github.com/geopavlakos/hamer ("Training").')
    return Stream(urls, weight)
