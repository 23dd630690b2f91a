"""What the paper compares its body adapter with (tables 4 and 6). B crops, J = 25 task tokens of the body, C their width,
K = 8 knuckles, F width of a knuckle's feature.

`ConcatenationBodyAdapter` and `WeightedSumBodyAdapter` change what the expert's own regressor reads, so it learns with them:
`trainable=['head', 'adapter']`. Both leave the regressor's input as it is where no knuckle is seen.
"""
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from hmradapter.geometry.body_frame import BodyFrame
from hmradapter.registry import ADAPTERS

from ..heads.rotation_heads import BODY_ROTATIONS, BodyRotationHead
from ..heads.smplerx_head import HandMaps
from .body_adapter import BodyAdapter
from .knuckles import KEYS, KnuckleGuided
from .moderator import Moderator


@ADAPTERS.register_module()
class TaskTokenBodyAdapter(BodyAdapter):
    """No. 5 of table 4: `BodyAdapter` whose empty token reads the 25 task tokens that the expert's regressor reads, instead of
    knuckles. The linear layer that was their 1x1 convolution brings the tokens to F, so the size is the same.

    Args: those of `BodyAdapter` that are not about knuckles.
    """

    def __init__(self, root: bool = True, ffn_hidden: Sequence[int] = (1024,), depth: int = 6, dim: int = 1024, heads: int = 8,
                 head_dim: int = 64, mlp_dim: int = 1024, context_dim: int = 1280, feature_dim: int = 512):
        super().__init__(root=root, ffn_hidden=ffn_hidden, depth=depth, dim=dim, heads=heads, head_dim=head_dim,
                         mlp_dim=mlp_dim, context_dim=context_dim, feature_dim=feature_dim)

    def regress(self, regressor: BodyRotationHead, tokens: Tensor, positions: Tensor, hands: HandMaps,
                guidance: Mapping[str, Tensor] | None) -> Tensor:
        """The frozen regressor's pose6d (B, 132) and the offset."""
        return regressor(tokens, positions) + self.offset_of(self.convs[0](tokens))


@ADAPTERS.register_module()
class ConcatenationBodyAdapter(KnuckleGuided):
    """No. 4 of table 4, "concatenation" of table 6: the regressor reads the tokens' features with their joints' coordinates
    and, behind them, the knuckles' features.

    A linear layer over a concatenation is the sum of linear layers over its parts: the new columns of the regressor live here.
    They start at zero, so that training starts at the expert.

    Args: those of `KnuckleGuided` without joint_embedding: in a row of features each has its place.
    """

    def __init__(self, train_joints: str = 'annotation', test_joints: str = 'predicted', conv: str = 'own',
                 context_dim: int = 1280, feature_dim: int = 512, frame: BodyFrame | None = None):
        super().__init__(train_joints, test_joints, conv, context_dim=context_dim, feature_dim=feature_dim, frame=frame)
        self.to_pose = nn.Linear(KEYS * feature_dim, 6 * (1 + BODY_ROTATIONS), bias=False)
        nn.init.zeros_(self.to_pose.weight)

    def regress(self, regressor: BodyRotationHead, tokens: Tensor, positions: Tensor, hands: HandMaps,
                guidance: Mapping[str, Tensor] | None) -> Tensor:
        """pose6d (B, 132) of the widened regressor; a knuckle that is not seen is a zero."""
        return regressor(tokens, positions) + self.to_pose(flat_features(*self.guide(hands, guidance)))


@ADAPTERS.register_module()
class WeightedSumBodyAdapter(KnuckleGuided):
    """The weighted sum of table 6: each task token and the hands' feature, as much of both as a moderator trusts them.

    PIXIE sums two vectors; here one is each of the J tokens, the other one vector for both hands: a linear layer over the K
    knuckles' features side by side.

    Args: those of `KnuckleGuided` without joint_embedding: in a row of features each has its place.
    """

    def __init__(self, train_joints: str = 'annotation', test_joints: str = 'predicted', conv: str = 'own',
                 context_dim: int = 1280, feature_dim: int = 512, frame: BodyFrame | None = None):
        super().__init__(train_joints, test_joints, conv, context_dim=context_dim, feature_dim=feature_dim, frame=frame)
        self.to_token = nn.Linear(KEYS * feature_dim, context_dim)
        self.moderate = Moderator(context_dim)

    def regress(self, regressor: BodyRotationHead, tokens: Tensor, positions: Tensor, hands: HandMaps,
                guidance: Mapping[str, Tensor] | None) -> Tensor:
        """pose6d (B, 132) of the regressor on J summed tokens."""
        keys, seen = self.guide(hands, guidance)
        summed = self.moderate(tokens, self.to_token(flat_features(keys, seen)).unsqueeze(1), seen.any(dim=1, keepdim=True))
        return regressor(summed, positions)


def flat_features(keys: Tensor, seen: Tensor) -> Tensor:
    """Keys (B, K, F) side by side (B, K F), zeros for those that are not seen (B, K)."""
    return torch.where(seen.unsqueeze(2), keys, 0).flatten(1)
