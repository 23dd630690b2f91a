"""Features of a region or of a joint, cut out of a feature map."""
from .joints import BilinearJointSampler
from .roi_align import MMCVRoIAlign, RoIAlign, TorchRoIAlign, TorchvisionRoIAlign

__all__ = ['BilinearJointSampler', 'MMCVRoIAlign', 'RoIAlign', 'TorchRoIAlign', 'TorchvisionRoIAlign']
