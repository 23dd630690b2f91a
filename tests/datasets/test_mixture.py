"""A mixture of data sets: indices, shares, what it says of itself, mistakes."""
import pickle
from fractions import Fraction

import pytest
from torch.utils.data import Dataset

from hmradapter.datasets import MixtureDataset


class Numbers(Dataset):
    """`size` pairs of a name and a number."""

    def __init__(self, name: str, size: int):
        self.metainfo, self.size = dict(dataset=name, split='train'), size

    def __len__(self):
        return self.size

    def __getitem__(self, index):
        return self.metainfo['dataset'], index


def mixture(*sizes, weights=None):
    return MixtureDataset([Numbers(name, size) for name, size in zip('abcde', sizes, strict=False)], weights)


def test_indices_count_through_the_data_sets():
    dataset = mixture(2, 1, 3)
    assert [dataset[i] for i in range(len(dataset))] == [('a', 0), ('a', 1), ('b', 0), ('c', 0), ('c', 1), ('c', 2)]
    assert [(part[at], at) for part, at in map(dataset.locate, range(6))] == [(dataset[i], dataset[i][1]) for i in range(6)]
    assert pickle.loads(pickle.dumps(dataset))[4] == ('c', 1)


def test_shares_are_the_weights_or_the_sizes():
    assert mixture(2, 6).shares == (Fraction(1, 4), Fraction(3, 4))
    assert mixture(2, 6, weights=[0.1, 0.3]).shares == (Fraction(1, 4), Fraction(3, 4))
    assert mixture(2, 6, weights=[0.25, 0.75]).metainfo == dict(
        dataset='mixture', datasets=[dict(dataset='a', split='train'), dict(dataset='b', split='train')],
        shares=[0.25, 0.75])


def test_the_summary_names_sizes_shares_and_passes():
    text = mixture(2000, 6000, weights=[1, 3]).summary(32_000)
    assert text.startswith('Mixture of 2 data sets, 8,000 samples:')
    assert [line.split() for line in text.splitlines()[1:]] == [
        ['a', 'train', '2,000', 'samples', '25.00', '%', 'of', 'the', 'draws', '4', 'passes', 'in', '32,000', 'draws'],
        ['b', 'train', '6,000', 'samples', '75.00', '%', 'of', 'the', 'draws', '4', 'passes', 'in', '32,000', 'draws']]


@pytest.mark.parametrize(('sizes', 'weights', 'message'), [
    ([2, 3], [0.5], 'weights are 1 numbers for 2 data sets'), ([2, 3], [0.5, 0], 'weights.1 is 0: it must be positive'),
    ([2, 3], [-1, 1], 'weights.0 is -1'), ([2, 3], [1, float('nan')], 'weights.1 is nan'),
    ([2, 3], [float('inf'), 1], 'weights.0 is inf'), ([2, 0, 3], None, 'datasets.1, b train, is empty'),
    ([], None, 'datasets is empty')])
def test_mistakes_are_named(sizes, weights, message):
    with pytest.raises(ValueError, match=message):
        mixture(*sizes, weights=weights)
