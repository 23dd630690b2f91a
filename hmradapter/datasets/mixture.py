"""Several data sets as one, each with its share of the draws: the mixtures that adapters are trained on."""
import math
from collections.abc import Sequence
from fractions import Fraction

from torch.utils.data import ConcatDataset, Dataset

from hmradapter.registry import DATASETS


@DATASETS.register_module()
class MixtureDataset(ConcatDataset):
    """`dict(type='MixtureDataset', datasets=[dict(type='HandDataset', ...), ...], weights=[0.25, 0.1, ...])`.

    Indices count through the data sets. Which one is drawn when is the sampler's business: `ResumableInfiniteSampler` gives
    each its share of the draws and takes its samples in passes of its own, whatever the workers and ranks.

    Args:
        datasets: configs of DATASETS (or data sets), none of them empty.
        weights: of each data set, any positive numbers: shares are their quotients with the sum. None: the sizes, so that every
            sample is seen equally often.

    Raises:
        ValueError: names the weight or the data set.
    """

    def __init__(self, datasets: Sequence[dict | Dataset], weights: Sequence[float] | None = None):
        if not datasets:
            raise ValueError('datasets is empty: name at least one data set.')
        if weights is not None:
            _check(weights, len(datasets))
        built = [DATASETS.build(part) if isinstance(part, dict) else part for part in datasets]
        self.sizes = tuple(len(part) for part in built)
        for number, (part, size) in enumerate(zip(built, self.sizes, strict=True)):
            if size == 0:
                raise ValueError(f'datasets.{number}, {_name(part)}, is empty: correct its data_root and split, or leave it '
                                 'and its weight out.')
        # as written in decimal, so that 0.1 is a tenth
        parts = [Fraction(str(weight)) for weight in (self.sizes if weights is None else weights)]
        self.shares = tuple(part / sum(parts) for part in parts)
        super().__init__(built)

    @property
    def metainfo(self) -> dict:
        """Of all data sets, and their shares."""
        return dict(dataset='mixture', datasets=[dict(getattr(part, 'metainfo', {})) for part in self.datasets],
                    shares=[float(share) for share in self.shares])

    def locate(self, idx: int) -> tuple[Dataset, int]:
        """The data set of sample `idx`, and its number there."""
        number = next(n for n, end in enumerate(self.cumulative_sizes) if idx < end)
        return self.datasets[number], idx - (self.cumulative_sizes[number] - self.sizes[number])

    def summary(self, draws: int) -> str:
        """A line for each data set: samples, share, and passes within so many draws."""
        lines = [f'Mixture of {len(self.sizes)} data sets, {sum(self.sizes):,} samples:']
        for part, size, share in zip(self.datasets, self.sizes, self.shares, strict=True):
            lines.append(f'  {_name(part):28} {size:>12,} samples {100 * float(share):6.2f} % of the draws '
                         f'{float(share) * draws / size:10.3g} passes in {draws:,} draws')
        return '\n'.join(lines)


def _check(weights: Sequence[float], count: int) -> None:
    if len(weights) != count:
        raise ValueError(f'weights are {len(weights)} numbers for {count} data sets: give one for each, or none.')
    for number, weight in enumerate(weights):
        if not math.isfinite(weight) or weight <= 0:
            raise ValueError(f'weights.{number} is {weight}: it must be positive; leave out a data set '
                             'that is not to be drawn.')


def _name(dataset: Dataset) -> str:
    """What a data set calls itself, e.g. 'rich train'."""
    meta = getattr(dataset, 'metainfo', {})
    words = [str(meta[key]) for key in ('dataset', 'name', 'split') if key in meta]
    return ' '.join(words) or type(dataset).__name__
