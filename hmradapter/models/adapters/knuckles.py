"""What guides a body: the features of both hands' knuckles (HMR-Adapter 3.4).

B crops, K = 8 keys (index, middle, ring and little knuckle, left hand then right), F width of a key, S cells of a hand's map.
"""
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from hmradapter.geometry.body_frame import BodyFrame
from hmradapter.structures.joints import HAND20_MCP

from ..heads.smplerx_head import HandMaps
from ..roi_samplers import BilinearJointSampler
from .adapter import Adapter

CONVOLUTIONS = ('own', 'per_hand', 'frozen')
HAND_JOINT_SOURCES = ('annotation', 'predicted', 'none')
KEYS = 2 * len(HAND20_MCP)


class KnuckleGuided(Adapter):
    """Reads the hands' maps at their knuckles. Subclasses say what becomes of the body's pose by it.

    What is missing is masked and never stands for something: a hand that `guidance.has_hands` takes away or whose predicted
    box has no area, a joint without a label, and one outside of its box's map or of the crop, where there is nothing to sample.

    Args:
        train_joints, test_joints: where the knuckles are: 'annotation' reads `guidance.hand_joints` (the paper's training),
            'predicted' takes the expert's own (its test), or `guidance.read_joints` where another expert has read some; with
            'none' no knuckle is seen.
        conv: 'own' 1x1 convolution, one 'per_hand' (as Hand4Whole), or 'frozen', the expert's own with its norm and ReLU.
        joint_embedding: adds a learnt code of side and finger to each key, without which left and right look alike (not in the
            paper).
        context_dim, feature_dim, frame: width of the maps, F and units of the expert; the estimator fills them in.
    """

    def __init__(self, train_joints: str = 'annotation', test_joints: str = 'predicted', conv: str = 'own',
                 joint_embedding: bool = False, context_dim: int = 1280, feature_dim: int = 512,
                 frame: BodyFrame | None = None):
        super().__init__()
        for name, value, known in (('train_joints', train_joints, HAND_JOINT_SOURCES),
                                   ('test_joints', test_joints, HAND_JOINT_SOURCES), ('conv', conv, CONVOLUTIONS)):
            if value not in known:
                raise ValueError(f'{name} is {value!r}; it must be one of {known}.')
        self.train_joints, self.test_joints = train_joints, test_joints
        self.frame = frame or BodyFrame()
        self.sample = BilinearJointSampler()
        # On a convolved map or on the sampled features: inside a map a 1x1 convolution and bilinear interpolation commute, and
        # eight points cost a sixty-fourth of two maps.
        count = dict(own=1, per_hand=2, frozen=0)[conv]
        self.convs = nn.ModuleList(nn.Linear(context_dim, feature_dim) for _ in range(count))
        self.joint_embedding = nn.Parameter(torch.zeros(KEYS, feature_dim)) if joint_embedding else None

    def guide(self, hands: HandMaps, guidance: Mapping[str, Tensor] | None) -> tuple[Tensor, Tensor]:
        """Keys (B, K, F) and whether each is seen (B, K).

        Of `guidance`: hand_joints and read_joints (B, 2, 20, 3), x, y in cells of the body's map and a flag; has_hands (B, 2),
        1 by default."""
        points, seen = self.knuckles(hands, guidance or {})
        return self.keys(hands, points), seen.flatten(1)

    def knuckles(self, hands: HandMaps, guidance: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Where the knuckles lie, (B, 2, 4, 2) cells of the hands' maps (a left hand's is mirrored), and whether there is
        something to sample, (B, 2, 4). What is not seen lies at the first cell."""
        size = hands.boxes[..., 2:] - hands.boxes[..., :2]
        seen = (size > 0).all(-1, keepdim=True)
        if 'has_hands' in guidance:
            seen = seen & (guidance['has_hands'] > 0).unsqueeze(2)
        source = self.train_joints if self.training else self.test_joints
        if source != 'annotation':
            points = torch.stack(hands.joints.detach()[:, HAND20_MCP, :2].chunk(2), dim=1)
            place = self.frame.cells_from_box(self.frame.mirror_left_hands(points), hands.boxes)
            seen = seen & (source == 'predicted')
            if 'read_joints' in guidance:
                read, known = guidance['read_joints'][:, :, HAND20_MCP].split((2, 1), dim=-1)
                in_box = self.frame.mirror_left_hands(self.frame.cells_in_box(read, hands.boxes))
                place, points = torch.where(known > 0, read, place), torch.where(known > 0, in_box, points)
        else:
            if 'hand_joints' not in guidance:
                raise ValueError(f'{"train" if self.training else "test"}_joints is \'annotation\', but the samples carry no '
                                 "guidance.hand_joints: put HeatmapTargets into the pipeline, or read 'predicted' joints.")
            place = guidance['hand_joints'][:, :, HAND20_MCP, :2]
            points = self.frame.mirror_left_hands(self.frame.cells_in_box(place, hands.boxes))
            seen = seen & (guidance['hand_joints'][:, :, HAND20_MCP, 2] > 0)
        height, width = self.frame.hand_map_size[1:]
        seen = seen & _between(points, (width - 1, height - 1)) & _between(place, self.frame.map_size[:0:-1])
        return torch.where(seen.unsqueeze(3), points, 0), seen

    def keys(self, hands: HandMaps, points: Tensor) -> Tensor:
        """F^J (B, K, F): what the hands' maps hold at `points` (B, 2, 4, 2)."""
        maps = hands.features if self.convs else hands.projected
        left, right = self.sample(maps, points.transpose(0, 1).flatten(0, 1)).chunk(2)
        if self.convs:
            left, right = self.convs[0](left), self.convs[-1](right)
        keys = torch.cat((left, right), dim=1)
        return keys if self.joint_embedding is None else keys + self.joint_embedding


def _between(points: Tensor, last: Sequence[int]) -> Tensor:
    """Whether points (..., 2) lie between 0 and `last` (x, y), both included; NaN does not."""
    return ((points >= 0) & (points <= points.new_tensor(last))).all(-1)
