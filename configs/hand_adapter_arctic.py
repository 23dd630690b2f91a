"""Hand adapter on ARCTIC: the row "ours" (No. 6) of the paper's table 3.

    bash tools/dist_train.sh configs/hand_adapter_arctic.py 4          4 GPUs x 32 crops, 10k iterations, 26,759,936 trainable
    python tools/test.py configs/hand_adapter_arctic.py --adapter work_dirs/hand_adapter_arctic/adapter.safetensors

You will change: data_root and body_model_root (your downloads), expert (HaMeR's weights, docs/training.md), guidance.
"""
_base_ = ['./_base_/default_runtime.py']

data_root = 'data/arctic'
body_model_root = 'data/body_models'
expert = None                                         # data/weights/hamer.safetensors, or the original hamer.ckpt
guidance = dict(source='annotation', path=None)       # 'file' reads predicted bodies, 'none' gives zeros (docs/paper.md)
iterations = 10_000
crop = dict(type='HandCrop', image_size=256)

right_hand = dict(type='MANOLayer', model_path=f'{body_model_root}/mano', side='right')
left_hand = dict(type='MANOLayer', model_path=f'{body_model_root}/mano', side='left')

model = dict(
    type='HandExpert',
    backbone=dict(type='HaMeRViT', embed_dim=1280, depth=32, num_heads=16),
    head=dict(type='MANODecoderHead', context_dim=1280, dim=1024, depth=6, heads=8, head_dim=64, mlp_dim=1024),
    body_model=right_hand,
    adapter=dict(type='HandAdapter', joints='arm'),   # 8 joints, root to wrist
    losses=dict(                                      # eq. 5; the paper gives no weights: HaMeR's, as sums over the batch
        keypoints_2d=dict(type='Keypoint2DLoss', weight=0.01),
        keypoints_3d=dict(type='Keypoint3DLoss', weight=0.05),
        vertices=dict(type='VertexLoss', weight=0.0014),    # ours: 778 vertices weigh as much as 21 joints
        hand_pose=dict(type='HandPoseLoss', weight=0.001),  # eq. 6
        betas=dict(type='BetasLoss', weight=0.0005)),
    expert=expert,
    trainable=['adapter'],
    frozen_dtype='auto')                              # bf16 where the device does it well

train_pipeline = [
    dict(type='LoadImage'),
    dict(type='RandomHandAugmentation', scale=0.3, degrees=30, turn_probability=0.6, shift=0.02),  # HaMeR's draws
    crop,
    dict(type='ColorJitter', amount=0.2),
    dict(type='PackHandInputs')]
test_pipeline = [dict(type='LoadImage'), crop, dict(type='PackHandInputs')]
source = dict(type='ArcticSource', data_root=data_root, body_model_root=body_model_root, protocol='p1',
              views=(1, 2, 3, 4, 5, 6, 7, 8), stride=10)
dataset = dict(type='HandDataset', guidance=guidance)

train_dataloader = dict(
    batch_size=32, num_workers=4, persistent_workers=True, sampler=dict(type='ResumableInfiniteSampler'),
    collate_fn=dict(type='hmr_collate'),
    dataset=dict(**dataset, source=dict(**source, split='train'), pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=64, num_workers=4, persistent_workers=True, sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='hmr_collate'),
    dataset=dict(**dataset, source=dict(**source, split='val'), pipeline=test_pipeline, test_mode=True))
test_dataloader = val_dataloader
val_evaluator = dict(type='HandMeshMetric', protocol='arctic-p1-val', body_models=dict(right=right_hand, left=left_hand))
test_evaluator = val_evaluator

train_cfg = dict(type='ResumableTrainLoop', max_iters=iterations, val_interval=iterations)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(type='OptimWrapper', constructor='TrainableParamsConstructor',
                     optimizer=dict(type='AdamW', lr=1e-4, weight_decay=1e-4))  # rate: ours, the paper gives none
