"""A directory of wrist-integration fixtures. Its cham.npz records a network that this package does not have."""
from .directory import Part
from .integration_arms import EDGE_INPUTS, MAIN_INPUTS, check_edge, check_main
from .integration_metrics import INPUTS as METRIC_INPUTS
from .integration_metrics import check as check_metrics
from .integration_views import CROP_RAY_INPUTS, FINGER_INPUTS, check_crop_rays, check_fingers

PARTS = {
    'main': Part('main.npz', check_main, MAIN_INPUTS),
    'edge': Part('edge.npz', check_edge, EDGE_INPUTS),
    'fingers': Part('fingers.npz', check_fingers, FINGER_INPUTS),
    'crop_ray': Part('crop_ray.npz', check_crop_rays, CROP_RAY_INPUTS),
    'metrics': Part('metrics.npz', check_metrics, METRIC_INPUTS)}
