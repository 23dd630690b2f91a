"""Our own guidance of the hand expert: what the arm does to the hand, said so that a linear layer can read it."""
import torch
from torch import Tensor

from hmradapter.geometry.kinematics import global_rotations
from hmradapter.geometry.rotations import rotmat_to_rot6d
from hmradapter.registry import ADAPTERS
from hmradapter.structures.joints import BODY_PARENTS

from .hand_adapter import HandAdapter


@ADAPTERS.register_module()
class KinematicHandAdapter(HandAdapter):
    """`HandAdapter` whose tokens say where each joint has turned to, besides how it is bent (not in the paper).

    The hand's global orientation is the product of the arm's eight rotations. The paper's tokens hold the factors, and eight
    attention weights cannot multiply; here each token also has the product so far, in the frame of the hand's crop, and the
    wrist's *is* the orientation. Codes per joint say which token that is, and gates at zero let training start at the expert.
    At HaMeR's size 26,777,862 parameters learn, 0.07% more than in the paper's.

    Predicted bodies are often worse at a wrist than what the expert sees of it. With `compare` the expert first reads the hand
    alone, by a decoder pass more, and each token has the product in the frame of that reading as well: where body and picture
    agree the wrist's is the identity, and a correction can be read off. 7,680 more parameters learn.

    Args: those of `HandAdapter`, of which joint_embedding and zero_gate are on.
        compare: see above.
    """

    def __init__(self, joints: str = 'arm', own_norms: bool = False, joint_embedding: bool = True, zero_gate: bool = True,
                 compare: bool = False, scale: float = 1.0, dim: int = 1024, context_dim: int = 1280, depth: int = 6,
                 heads: int = 8, head_dim: int = 64):
        self.reads_orientation = compare
        super().__init__(joints, own_norms, joint_embedding, zero_gate, scale, dim, context_dim, depth, heads, head_dim)

    @property
    def numbers(self) -> int:
        return 18 if self.reads_orientation else 12

    def describe(self, body_pose: Tensor, seen: Tensor | None = None) -> Tensor:
        """Each joint's rotation relative to its parent, then to the camera, then, with `compare`, to `seen` (B, 3, 3):
        (B, 22, 3, 3) -> (B, J, 12 or 18)."""
        turned = global_rotations(body_pose, BODY_PARENTS)[:, list(self.joints)]
        frames = (turned, seen.mT.unsqueeze(1) @ turned) if self.reads_orientation else (turned,)
        return torch.cat((super().describe(body_pose), *map(rotmat_to_rot6d, frames)), dim=-1)
