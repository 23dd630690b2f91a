"""Laws of a mixture's draws: exact shares, passes without repetition, and nothing that depends on ranks or restarts."""
import itertools
import math
import time
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from hmradapter.datasets import MixtureDataset
from hmradapter.engine import ResumableInfiniteSampler, SeededDataset
from hmradapter.engine.draw_order import MixtureOrder


def fractions(weights):
    return [Fraction(str(weight)) / sum(Fraction(str(w)) for w in weights) for weight in weights]


@st.composite
def mixtures(draw):
    """Sizes and weights of a few data sets."""
    count = draw(st.integers(1, 5))
    return (draw(st.lists(st.integers(1, 3000), min_size=count, max_size=count)),
            draw(st.lists(st.floats(0.01, 1).map(lambda w: round(w, 4)), min_size=count, max_size=count)))


def order_of(mixture, seed=5, shuffle=True):
    sizes, weights = mixture
    return MixtureOrder(sizes, fractions(weights), shuffle, seed)


def part_of(indices, sizes):
    return np.searchsorted(np.cumsum(sizes), indices, side='right')


@given(mixture=mixtures(), shuffle=st.booleans())
def test_shares_are_exact_after_every_block(mixture, shuffle):
    sizes, weights = mixture
    order, seen = order_of(mixture, shuffle=shuffle), np.zeros(len(sizes), int)
    for block in range(3):
        seen += np.bincount(part_of(order.block(block), sizes), minlength=len(sizes))
        quotas = [share * (block + 1) * order.length for share in fractions(weights)]
        assert all(abs(count - quota) < 1 for count, quota in zip(seen.tolist(), quotas, strict=True))


@given(mixture=mixtures(), seed=st.integers(0, 9))
@settings(max_examples=20)
def test_no_sample_comes_twice_within_a_pass_of_its_data_set(mixture, seed):
    sizes = mixture[0]
    order = order_of(mixture, seed)
    draws = np.concatenate([order.block(block) for block in range(4)])
    which, offsets = part_of(draws, sizes), np.cumsum([0, *sizes])
    for part, size in enumerate(sizes):
        own = draws[which == part] - offsets[part]
        for begin in range(0, len(own), size):
            turn = own[begin:begin + size]
            assert len(set(turn.tolist())) == len(turn) and (turn < size).all()
            assert len(turn) < size or np.array_equal(np.sort(turn), np.arange(size))


def test_passes_and_parts_differ_in_order_and_the_seed_changes_all():
    order, other = order_of(([500, 500], [1, 1])), order_of(([500, 500], [1, 1]), seed=6)
    first, second = order.block(0), order.block(1)
    passes = [first[first < 500], second[second < 500], first[first >= 500] - 500, other.block(0)[other.block(0) < 500]]
    assert not any(np.array_equal(a, b) for a, b in itertools.combinations(passes, 2))
    plain = order_of(([500, 500], [1, 1]), shuffle=False).block(0)
    assert np.array_equal(plain[plain < 500], np.arange(500)) and not np.array_equal(plain, np.arange(1000))


def sampler(mixture, rank=0, world_size=1, start=0, seed=5):
    sizes, weights = mixture
    made = ResumableInfiniteSampler(MixtureDataset([range(size) for size in sizes], weights), seed=seed)
    made.rank, made.world_size = rank, world_size
    made.start_at(start, seed)
    return made


def first(made, count):
    return [(int(draw), draw.number) for draw in itertools.islice(made, count)]


@given(mixture=mixtures(), world_size=st.integers(1, 4), start=st.integers(0, 3000))
@settings(max_examples=20)
def test_ranks_share_one_sequence_and_enter_it_anywhere(mixture, world_size, start):
    """Over the ends of blocks, whose length no number of ranks need divide."""
    alone = first(sampler(mixture), (start + 400) * world_size)
    shared = [first(sampler(mixture, rank, world_size, start), 400) for rank in range(world_size)]
    assert sorted(itertools.chain(*shared), key=lambda draw: draw[1]) == alone[start * world_size:]
    assert [number for _, number in alone] == list(range(len(alone)))


def test_a_far_draw_is_entered_at_once():
    made = sampler(([10 ** 6, 10 ** 5, 224], [0.25, 0.7, 0.05]), start=10 ** 9)
    begin = time.perf_counter()
    index, number = first(made, 1)[0]
    assert number == 10 ** 9 and 0 <= index < 1_100_224 and time.perf_counter() - begin < 5


@pytest.mark.parametrize('workers', [1, 4])
def test_workers_do_not_change_what_is_drawn(workers):
    mixture = ([30, 7, 300], [0.5, 0.2, 0.3])

    def batches(**options):
        made = sampler(mixture)
        data = SeededDataset(MixtureDataset([range(size) for size in mixture[0]]))
        loader = DataLoader(data, batch_size=5, sampler=made, **options)
        return [batch.tolist() for batch in itertools.islice(loader, 20)]
    assert batches() == batches(num_workers=workers)


def test_every_rank_sees_every_data_set():
    """Equal shares dealt in turn would give each of two ranks one data set only."""
    for rank in range(2):
        counts = Counter(index // 1000 for index, _ in first(sampler(([1000, 1000], [1, 1]), rank, 2), 500))
        assert min(counts.values()) > 200


def test_a_rare_data_set_lengthens_the_blocks_and_one_too_rare_is_refused():
    order = order_of(([9, 9], [1, 9999]))
    assert order.length == 20_000 and order.drawn(20_000).tolist() == [2, 19_998]
    with pytest.raises(ValueError, match=r'data set 1 of the mixture has the share 1e-09'):
        order_of(([9, 9], [1, 1e-9]))


def test_rounding_does_not_move_a_sample():
    """0.1 + 0.2 is not 0.3 in floating point; in shares it is."""
    order = order_of(([9, 9, 9], [0.1, 0.2, 0.3]))
    assert order.drawn(3000 * 10 ** 9).tolist() == [500 * 10 ** 9, 1000 * 10 ** 9, 1500 * 10 ** 9]
    assert order.length == 1000 and math.isclose(sum(order.shares), 1)
