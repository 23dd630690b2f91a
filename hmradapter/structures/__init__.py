"""What travels through the package, and the joint orders everything refers to."""
from .data_sample import HMRDataSample, hmr_collate, stack_samples

__all__ = ['HMRDataSample', 'hmr_collate', 'stack_samples']
