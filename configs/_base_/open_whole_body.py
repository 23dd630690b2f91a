"""What the open world's whole-body configs share: a small SMPLer-X, and how persons reach it."""
body_model_root = 'data/body_models/open'
frame = dict(img_size=(128, 96), map_size=(8, 8, 6), hand_map_size=(8, 8, 8), focal=(2500.0, 2500.0), princpt=(48.0, 64.0))
crop = dict(type='PersonCrop', size=(256, 192), ratio=1.2)

model = dict(
    type='WholeBodyExpert',
    backbone=dict(type='SMPLerXViT', img_size=(128, 96), embed_dim=128, depth=5, num_heads=4, drop_path_rate=0.05),
    head=dict(type='SMPLerXHead', context_dim=128, frame=frame, body_rotation=dict(dim=64), boxes=dict(dim=32),
              hand_rotation=dict(dim=64)),
    body_model=dict(type='SMPLXLayer', model_path=f'{body_model_root}/smplx'))

augmentation = dict(type='RandomPersonAugmentation', scale=0.15, degrees=20, turn_probability=0.6, flip_probability=0.5)
test_pipeline = [dict(type='LoadImage'), crop, dict(type='HeatmapTargets', frame=frame), dict(type='PackPersonInputs')]
source = dict(type='ArcticSource', body_model_root=body_model_root, protocol='p1', views=(1, 2, 3, 4, 5, 6, 7, 8), stride=1)

val_dataloader = dict(
    batch_size=32, num_workers=1, sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='hmr_collate'),
    dataset=dict(type='PersonDataset', source=dict(**source, split='val', truth='template'), pipeline=test_pipeline,
                 test_mode=True))
test_dataloader = val_dataloader
val_evaluator = dict(type='WholeBodyMetric', protocol='open-body-p1-val', body_model_root=body_model_root)
test_evaluator = val_evaluator
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
