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
# From InterHand2.6M's joints of one hand: tips first, wrist last.
HAND21_FROM_INTERHAND = (20, 3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12, 19, 18, 17, 16)
HAND21_MCP = (5, 9, 13, 17)
HAND21_TIPS = (4, 8, 12, 16, 20)

# Fingertip vertices of the licensed 778-vertex MANO mesh (thumb, index, middle, ring, pinky), as in the `smplx` package.
MANO_TIP_VERTICES = (744, 320, 443, 554, 671)

# WHOLE137: SMPLer-X's joints. 25 of the body, 20 of each hand (HAND21 without its wrist), 72 of the face.
# Its 65 heat-map joints are the first 65.
WHOLE137_PARTS = {'body': slice(0, 25), 'left_hand': slice(25, 45), 'right_hand': slice(45, 65), 'face': slice(65, 137)}
HEATMAP65 = 65
WHOLE137_ROOTS = {'body': 0, 'left_hand': 12, 'right_hand': 13, 'face': 7}  # pelvis, wrists, neck
BODY25_NAMES = ('Pelvis', 'L_Hip', 'R_Hip', 'L_Knee', 'R_Knee', 'L_Ankle', 'R_Ankle', 'Neck', 'L_Shoulder', 'R_Shoulder',
                'L_Elbow', 'R_Elbow', 'L_Wrist', 'R_Wrist', 'L_Big_toe', 'L_Small_toe', 'L_Heel', 'R_Big_toe',
                'R_Small_toe', 'R_Heel', 'L_Ear', 'R_Ear', 'L_Eye', 'R_Eye', 'Nose')
WHOLE137_NAMES = (*BODY25_NAMES, *(f'{side}_{name[:-1].capitalize()}_{name[-1]}' for side in 'LR' for name in HAND21_NAMES[1:]),
                  *(f'Face_{i}' for i in range(1, 73)))
_BODY25 = (0, 1, 2, 4, 5, 7, 8, 12, 16, 17, 18, 19, 20, 21, 60, 61, 62, 63, 64, 65, 59, 58, 57, 56, 55)
_HANDS = (*HAND21_FROM_SMPLX144['left'][1:], *HAND21_FROM_SMPLX144['right'][1:])
WHOLE137_FROM_SMPLX144 = (*_BODY25, *_HANDS, 22, 15, 57, 56, *range(76, 144))
# HumanData files swap face joints 3 and 4 (the eyes, rows 67 and 68) against the model's.
WHOLE137_FROM_HUMANDATA = (*_BODY25, *_HANDS, 22, 15, 56, 57, *range(76, 144))
WHOLE137_MIRROR_PAIRS = (
    (1, 2), (3, 4), (5, 6), (8, 9), (10, 11), (12, 13), (14, 17), (15, 18), (16, 19), (20, 21), (22, 23),
    *((25 + i, 45 + i) for i in range(20)),
    (67, 68), (69, 78), (70, 77), (71, 76), (72, 75), (73, 74),                                         # eyes, brows
    (83, 87), (84, 86),                                                                                  # nostrils
    (88, 97), (89, 96), (90, 95), (91, 94), (92, 99), (93, 98),                                          # eyelids
    (100, 106), (101, 105), (102, 104), (107, 111), (108, 110), (112, 116), (113, 115), (117, 119),      # lips
    *((120 + i, 136 - i) for i in range(8)), )                                                           # contour

# OpenPose's orders as numbers of SMPLX144, as in SMPLify-X. Its face has 17 points of the contour, 51 inner ones, and pupils,
# which SMPL-X has no points for (-1).
SMPLX144_FROM_OPENPOSE25 = (55, 12, 17, 19, 21, 16, 18, 20, 0, 2, 5, 8, 1, 4, 7, 56, 57, 58, 59, 60, 61, 62, 63, 64, 65)
SMPLX144_FROM_OPENPOSE18 = (55, 12, 17, 19, 21, 16, 18, 20, 2, 5, 8, 1, 4, 7, 56, 57, 58, 59)  # OpenPose's COCO model
SMPLX144_FROM_OPENPOSE_FACE = (*range(127, 144), *range(76, 127), -1, -1)

# COCO133: COCO-WholeBody's order, 17 of COCO, 6 of the feet (big toe, small toe, heel), 68 of the face (17 of the contour, 51
# inner ones), HAND21 of either hand; as numbers of SMPLX144. Its hips are marked at the hips' sides, some centimetres from the
# joints 1 and 2 of SMPL-X; the hands' wrists are the body's.
COCO133_PARTS = {'body': slice(0, 17), 'feet': slice(17, 23), 'face': slice(23, 91), 'left_hand': slice(91, 112),
                 'right_hand': slice(112, 133)}
COCO133_HIPS = (11, 12)
SMPLX144_FROM_COCO133 = (55, 57, 56, 59, 58, 16, 17, 18, 19, 20, 21, 1, 2, 4, 5, 7, 8, *range(60, 66), *range(127, 144),
                         *range(76, 127), *HAND21_FROM_SMPLX144['left'], *HAND21_FROM_SMPLX144['right'])

# POSE53: SMPLer-X's rotations. 22 of the body, then 15 of each hand (MANO's order), then the jaw.
POSE53_PARTS = {'global_orient': slice(0, 1), 'body_pose': slice(1, 22), 'left_hand_pose': slice(22, 37),
                'right_hand_pose': slice(37, 52), 'jaw_pose': slice(52, 53)}
POSE53_MIRROR_PAIRS = (*BODY_MIRROR_PAIRS, *((22 + i, 37 + i) for i in range(15)))

# Knuckles (index, middle, ring, pinky) in HAND21 without its wrist, where the whole-body adapter samples a hand's features.
HAND20_MCP = tuple(joint - 1 for joint in HAND21_MCP)
