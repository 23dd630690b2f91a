"""Laws of the draws: where one enters, how many share them and who prepares them change nothing."""
import itertools
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader, Dataset

from hmradapter.engine import ResumableInfiniteSampler, SeededDataset
from hmradapter.engine.resumable_data import Draw


def sampler(size, rank=0, world_size=1, start=0, seed=5, shuffle=True):
    made = ResumableInfiniteSampler(range(size), shuffle=shuffle, seed=seed)
    made.rank, made.world_size = rank, world_size
    made.start_at(start, seed)
    return made


def first(made, count):
    return [(int(draw), draw.number) for draw in itertools.islice(made, count)]


@given(size=st.integers(1, 9), world_size=st.integers(1, 12), start=st.integers(0, 40), shuffle=st.booleans())
def test_entering_anywhere_gives_the_same_draws(size, world_size, start, shuffle):
    for rank in range(world_size):
        whole = first(sampler(size, rank, world_size, shuffle=shuffle), start + 20)
        assert first(sampler(size, rank, world_size, start, shuffle=shuffle), 20) == whole[start:]


@given(size=st.integers(1, 9), world_size=st.integers(1, 12))
def test_ranks_share_the_draws_of_one_process(size, world_size):
    alone = first(sampler(size), 5 * world_size)
    shared = [first(sampler(size, rank, world_size), 5) for rank in range(world_size)]
    assert sorted(itertools.chain(*shared), key=lambda draw: draw[1]) == alone


@given(size=st.integers(2, 30))
def test_every_pass_holds_every_sample_and_orders_differ(size):
    draws = [index for index, _ in first(sampler(size), 3 * size)]
    passes = [tuple(draws[i * size:(i + 1) * size]) for i in range(3)]
    assert all(sorted(order) == list(range(size)) for order in passes)
    assert size < 8 or len(set(passes)) == 3


class Noise(Dataset):
    metainfo = dict(name='noise')

    def __len__(self):
        return 7

    def __getitem__(self, index):
        return torch.tensor([index, np.random.rand(), torch.rand(()).item()], dtype=torch.float64)


@pytest.mark.parametrize('workers', [1, 3])
def test_workers_do_not_change_what_is_drawn(workers):
    def batches(**options):
        loader = DataLoader(SeededDataset(Noise(), seed=5), batch_size=2, sampler=sampler(7), **options)
        return torch.stack(list(itertools.islice(loader, 6)))
    assert torch.equal(batches(), batches(num_workers=workers))
    assert len(batches().flatten(0, 1)[:, 1].unique()) == 12


def test_wrapped_dataset_keeps_its_attributes_and_pickles():
    dataset = pickle.loads(pickle.dumps(SeededDataset(Noise(), seed=3)))
    assert dataset.metainfo == dict(name='noise') and len(dataset) == 7
    assert torch.equal(dataset[Draw(2, 9)], dataset[Draw(2, 9)]) and not torch.equal(dataset[Draw(2, 9)], dataset[Draw(2, 16)])
    with pytest.raises(AttributeError, match='nonsense'):
        _ = dataset.nonsense


def test_empty_dataset_is_refused():
    with pytest.raises(ValueError, match='range is empty'):
        ResumableInfiniteSampler(range(0))
