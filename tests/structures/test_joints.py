"""The joint tables against each other."""
from hmradapter.structures import joints


def test_arm_chains_follow_the_tree_from_root_to_wrist():
    for chain in joints.ARM_CHAIN.values():
        assert chain[0] == 0 and len(chain) == 8
        assert all(joints.BODY_PARENTS[child] == parent for parent, child in zip(chain, chain[1:], strict=False))
    assert joints.BODY_NAMES[joints.ARM_CHAIN['left'][-1]] == 'left_wrist'


def test_mirror_pairs_are_left_and_right_of_the_same_name():
    for left, right in joints.BODY_MIRROR_PAIRS:
        assert joints.BODY_NAMES[left].replace('left', 'right') == joints.BODY_NAMES[right]


def test_hand_orders_are_permutations():
    assert sorted(joints.HAND21_FROM_MANO) == list(range(21)) and len(joints.HAND21_NAMES) == 21
    for indices in joints.HAND21_FROM_SMPLX144.values():
        assert len(set(indices)) == 21
    assert [joints.HAND21_NAMES[i] for i in joints.HAND21_MCP] == ['index1', 'middle1', 'ring1', 'pinky1']
