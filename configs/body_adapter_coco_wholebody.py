"""The body adapter (or its base) on COCO-WholeBody: AP of the mesh's joints, projected into photographs of everything.

    python tools/test.py configs/body_adapter_coco_wholebody.py --adapter work_dirs/body_adapter_arctic/adapter.safetensors
    python tools/test.py configs/body_adapter_coco_wholebody.py --adapter none --dump joints.json    # the frozen base alone

You will change: data_root; body models and the expert's weights are those of body_adapter_arctic.py, or --cfg-options
body_model_root=... expert=...
"""
_base_ = ['./body_adapter_arctic.py']

data_root = 'data/coco'
crop = dict(type='PersonCrop', ratio=1.25)  # COCO's boxes are raw: SMPLer-X's padding for them
test_pipeline = [dict(type='LoadImage'), crop, dict(type='HeatmapTargets'), dict(type='PackPersonInputs')]
test_dataloader = dict(dataset=dict(
    source=dict(_delete_=True, type='CocoWholeBodySource', data_root=data_root, split='val'), pipeline=test_pipeline))
test_evaluator = dict(_delete_=True, type='CocoWholeBodyMetric', protocol='coco-wholebody-val',
                      ann_file=f'{data_root}/annotations/coco_wholebody_val_v1.0.json')
