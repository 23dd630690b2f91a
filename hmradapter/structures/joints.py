"""Joint orders of the field, in one place. Indices into SMPLX144 are the `smplx` package's output with face contour.

HAND21: wrist, thumb 1-4, index 1-4, middle 1-4, ring 1-4, pinky 1-4 (4 = tip): FreiHAND, HaMeR, COCO-WholeBody, OpenPose.
"""

# Kinematic tree of the 22 body joints that SMPL, SMPL-H and SMPL-X share (parent of each joint; 0 = pelvis).
BODY_PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19)
BODY_NAMES = ('pelvis', 'left_hip', 'right_hip', 'spine1', 'left_knee', 'right_knee', 'spine2', 'left_ankle', 'right_ankle',
              'spine3', 'left_foot', 'right_foot', 'neck', 'left_collar', 'right_collar', 'head', 'left_shoulder',
              'right_shoulder', 'left_elbow', 'right_elbow', 'left_wrist', 'right_wrist')
BODY_MIRROR_PAIRS = ((1, 2), (4, 5), (7, 8), (10, 11), (13, 14), (16, 17), (18, 19), (20, 21))

# The paper's "arm joint group" (3.3): root to wrist along the tree, J = 8.
ARM_CHAIN = {'right': (0, 3, 6, 9, 14, 17, 19, 21), 'left': (0, 3, 6, 9, 13, 16, 18, 20)}

# MANO's 16 joints: wrist, index 1-3, middle 4-6, pinky 7-9, ring 10-12, thumb 13-15.
MANO_PARENTS = (-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 0, 10, 11, 0, 13, 14)
HAND21_NAMES = ('wrist', *(f'{finger}{k}' for finger in ('thumb', 'index', 'middle', 'ring', 'pinky') for k in (1, 2, 3, 4)))
HAND21_PARENTS = (-1, 0, 1, 2, 3, 0, 5, 6, 7, 0, 9, 10, 11, 0, 13, 14, 15, 0, 17, 18, 19)
# From MANO's 16 joints followed by the tips thumb, index, middle, ring, pinky.
HAND21_FROM_MANO = (0, 13, 14, 15, 16, 1, 2, 3, 17, 4, 5, 6, 18, 10, 11, 12, 19, 7, 8, 9, 20)
HAND21_FROM_SMPLX144 = {
    'left': (20, 37, 38, 39, 66, 25, 26, 27, 67, 28, 29, 30, 68, 34, 35, 36, 69, 31, 32, 33, 70),
    'right': (21, 52, 53, 54, 71, 40, 41, 42, 72, 43, 44, 45, 73, 49, 50, 51, 74, 46, 47, 48, 75)}
HAND21_MCP = (5, 9, 13, 17)

# Fingertip vertices of the licensed 778-vertex MANO mesh (thumb, index, middle, ring, pinky), as in the `smplx` package.
MANO_TIP_VERTICES = (744, 320, 443, 554, 671)
