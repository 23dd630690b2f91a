"""Body adapter on ARCTIC: the row "ours" (No. 6) of the paper's table 4.

    bash tools/dist_train.sh configs/body_adapter_arctic.py 4          4 GPUs x 32 persons, 10k iterations, 36,508,292 trainable
    python tools/test.py configs/body_adapter_arctic.py --adapter work_dirs/body_adapter_arctic/adapter.safetensors

You will change: data_root and body_model_root (your downloads), expert (SMPLer-X's weights, docs/training.md), adapter.
"""
_base_ = ['./_base_/default_runtime.py']

data_root = 'data/arctic'
body_model_root = 'data/body_models'
expert = None                                         # data/weights/smplerx.safetensors, or smpler_x_h32.pth.tar itself
adapter = dict(type='BodyAdapter', train_joints='annotation', test_joints='predicted')  # switches: docs/paper.md
hand_joint_noise = dict(type='HandJointNoise', cells=0.0, dropout=0.0)  # the paper has none; 1 cell is 16 px of 256 x 192
iterations = 10_000
crop = dict(type='PersonCrop', ratio=1.2)

model = dict(
    type='WholeBodyExpert',
    backbone=dict(type='SMPLerXViT', embed_dim=1280, depth=32, num_heads=16),
    head=dict(
        type='SMPLerXHead', context_dim=1280,
        body_position=dict(type='PositionNet'),       # heat maps of 25 joints
        body_rotation=dict(type='BodyRotationHead', dim=512),
        boxes=dict(type='BoxHead', dim=256),          # of both hands and the face
        hand_roi=dict(type='HandRoI', upscale=4, sampler=dict(type='RoIAlign', size=16)),
        hand_position=dict(type='PositionNet'),       # heat maps of 20 joints of each hand
        hand_rotation=dict(type='HandRotationHead', dim=512, sampler=dict(type='BilinearJointSampler')),
        face=dict(type='FaceHead')),
    body_model=dict(type='SMPLXLayer', model_path=f'{body_model_root}/smplx'),
    adapter=adapter,
    losses=dict(                                      # eq. 7; the paper gives no weights: SMPLer-X's
        joints_img=dict(type='MaskedL1Loss', weight=1),         # eq. 8, 2D of the heat maps: constant, they are frozen
        joints_proj=dict(type='MaskedL1Loss', weight=1),        # eq. 8, projected 3D
        joints_3d=dict(type='MaskedL1Loss', weight=100),        # relative to the pelvis
        part_joints_3d=dict(type='MaskedL1Loss', weight=100),   # hands relative to the wrist, face to the neck
        pose=dict(type='MaskedL1Loss', weight=10),
        betas=dict(type='MaskedL1Loss', weight=1)),             # constant, as the shape is frozen too
    expert=expert,
    trainable=['adapter'],
    frozen_dtype='auto')                              # bf16 where the device does it well

train_pipeline = [
    dict(type='LoadImage'),
    dict(type='RandomPersonAugmentation', scale=0.25, degrees=30, turn_probability=0.6, flip_probability=0.5),  # SMPLer-X's
    crop,
    dict(type='ColorJitter', amount=0.2),
    dict(type='HeatmapTargets'),
    hand_joint_noise,
    dict(type='PackPersonInputs')]
test_pipeline = [dict(type='LoadImage'), crop, dict(type='HeatmapTargets'), dict(type='PackPersonInputs')]
source = dict(type='ArcticSource', data_root=data_root, body_model_root=body_model_root, protocol='p1',
              views=(1, 2, 3, 4, 5, 6, 7, 8), stride=10)

train_dataloader = dict(
    batch_size=32, num_workers=4, persistent_workers=True, sampler=dict(type='ResumableInfiniteSampler'),
    collate_fn=dict(type='hmr_collate'),
    dataset=dict(type='PersonDataset', source=dict(**source, split='train'), pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=32, num_workers=4, persistent_workers=True, sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='hmr_collate'),
    dataset=dict(type='PersonDataset', source=dict(**source, split='val', truth='template'), pipeline=test_pipeline,
                 test_mode=True))
test_dataloader = val_dataloader
val_evaluator = dict(type='WholeBodyMetric', protocol='arctic-body-p1-val', body_model_root=body_model_root)
test_evaluator = val_evaluator

train_cfg = dict(type='ResumableTrainLoop', max_iters=iterations, val_interval=iterations)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(type='OptimWrapper', constructor='TrainableParamsConstructor',
                     optimizer=dict(type='AdamW', lr=1e-4, weight_decay=1e-4))  # rate: ours, the paper gives none
