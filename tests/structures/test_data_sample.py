"""Batches of samples: stacked, split, moved, refused."""
import pytest
import torch
from mmengine.structures import BaseDataElement

from hmradapter.structures import HMRDataSample, hmr_collate, stack_samples


def sample(index, **gt):
    return HMRDataSample(metainfo=dict(key=f'k{index}', sample_idx=index),
                         crop=BaseDataElement(box_size=torch.tensor(float(index))),
                         gt=BaseDataElement(betas=torch.full((10,), float(index)), **gt))


def test_splitting_a_stack_gives_the_samples_back():
    singles = [sample(i) for i in range(3)]
    batch = stack_samples(singles)
    assert batch.key == ['k0', 'k1', 'k2'] and batch.gt.betas.shape == (3, 10) and batch.crop.box_size.shape == (3,)
    for single, again in zip(singles, batch.split(), strict=True):
        assert again.metainfo == single.metainfo
        assert torch.equal(again.gt.betas, single.gt.betas) and torch.equal(again.crop.box_size, single.crop.box_size)


def test_map_leaves_the_original_alone():
    batch = stack_samples([sample(1), sample(2)])
    doubled = batch.map(lambda tensor: 2 * tensor)
    assert torch.equal(doubled.gt.betas, 2 * batch.gt.betas) and doubled.key == batch.key
    doubled.gt.betas = torch.zeros(2, 10)
    assert batch.gt.betas[1, 0] == 2


def test_samples_with_other_fields_are_refused_by_name():
    with pytest.raises(ValueError, match="'k0' and 'k1'.*gt.has_betas"):
        stack_samples([sample(0), sample(1, has_betas=torch.ones(()))])


def test_blurred_and_plain_crops_share_a_batch():
    items = [dict(inputs=torch.full((3, 2, 2), 7, dtype=torch.uint8), data_samples=sample(0)),
             dict(inputs=torch.full((3, 2, 2), 7.25), data_samples=sample(1))]
    inputs = hmr_collate(items)['inputs']
    assert inputs.dtype == torch.float32 and inputs[:, 0, 0, 0].tolist() == [7.0, 7.25]
