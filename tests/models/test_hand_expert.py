"""The hand expert's road: sides, precision, modes."""
import copy
import warnings

import numpy as np
import pytest
import torch
from mmengine.dataset import Compose
from mmengine.structures import BaseDataElement

from hmradapter.geometry.mirror import mirror_body_pose
from hmradapter.geometry.rotations import axis_angle_to_rotmat
from hmradapter.models.estimators import HandExpert
from hmradapter.registry import TRANSFORMS
from hmradapter.structures import HMRDataSample, hmr_collate

BACKBONE = dict(type='HaMeRViT', img_size=(64, 48), embed_dim=32, depth=2, num_heads=2)
HEAD = dict(type='MANODecoderHead', context_dim=32, dim=48, depth=2, heads=2, head_dim=16, mlp_dim=32)


@pytest.fixture(scope='module')
def model(open_body_models):
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        body_model = dict(type='MANOLayer', model_path=str(open_body_models / 'mano'))
        return HandExpert(backbone=BACKBONE, head=HEAD, body_model=body_model, adapter=dict(type='HandAdapter'),
                          trainable=['adapter'], frozen_dtype='fp32').eval()


def scene(width=120, height=90, seed=0):
    rng = np.random.default_rng(seed)
    return dict(img=rng.integers(0, 256, (height, width, 3), dtype=np.uint8), img_size=np.float32([width, height]),
                hand='right', box_center=np.float32([50, 40]), box_wh=np.float32([30, 22]), focal=np.float32([100, 100]),
                princpt=np.float32([60, 45]), has_body_pose=np.float32(1), key='scene', sample_idx=0,
                body_pose=axis_angle_to_rotmat(torch.from_numpy(rng.normal(size=(22, 3)).astype(np.float32))))


def mirrored(results):
    """The same scene in a mirror: the picture, the box, the body; the right hand becomes a left one."""
    results = copy.deepcopy(results)
    width = results['img'].shape[1]
    results.update(img=np.ascontiguousarray(results['img'][:, ::-1]), hand='left',
                   body_pose=mirror_body_pose(results['body_pose']))
    results['box_center'][0] = width - 1 - results['box_center'][0]
    return results


def predict(model, *scenes):
    pipeline = Compose([TRANSFORMS.build(dict(type='HandCrop', image_size=64)), TRANSFORMS.build(dict(type='PackHandInputs'))])
    batch = model.data_preprocessor(hmr_collate([pipeline(copy.deepcopy(s)) for s in scenes]))
    with torch.no_grad():
        return model(**batch, mode='predict')


def test_a_mirrored_scene_gives_the_mirrored_prediction(model):
    right, left = (predict(model, s)[0].pred for s in (scene(), mirrored(scene())))
    mirror = torch.tensor([-1.0, 1, 1])
    for field in ('vertices', 'keypoints_3d', 'cam_t'):
        torch.testing.assert_close(left.get(field), right.get(field) * mirror)
    torch.testing.assert_close(left.hand_pose, torch.diag(mirror) @ right.hand_pose @ torch.diag(mirror))
    torch.testing.assert_close(left.keypoints_2d, right.keypoints_2d * mirror[:2])
    assert not torch.allclose(left.vertices, right.vertices, atol=1e-3)


def test_the_order_and_company_of_a_batch_change_nothing(model):
    scenes = [scene(), mirrored(scene(seed=1)), scene(seed=2)]
    together, alone = predict(model, *scenes), [predict(model, s)[0] for s in scenes]
    for batched, single in zip(together, alone, strict=True):
        torch.testing.assert_close(batched.pred.vertices, single.pred.vertices, atol=1e-6, rtol=1e-5)


def test_an_unknown_mode_is_named(model):
    batch = HMRDataSample(guidance=BaseDataElement(body_pose=torch.zeros(1, 22, 3, 3), has_body_pose=torch.zeros(1)))
    with pytest.raises(ValueError, match="mode is 'predictions'"):
        model(torch.zeros(1, 3, 64, 64), batch, mode='predictions')


def test_bf16_backbone_stays_near_fp32_and_the_decoder_stays_fp32(model):
    low = copy.deepcopy(model)
    low.frozen_dtype = 'bf16'
    exact, coarse = predict(model, scene())[0].pred, predict(low, scene())[0].pred
    assert next(low.backbone.parameters()).dtype == torch.bfloat16
    assert next(low.head.parameters()).dtype == next(low.adapter.parameters()).dtype == torch.float32
    assert 0 < (exact.vertices - coarse.vertices).abs().max() < 1e-3  # metres


def test_an_unknown_precision_is_refused(model):
    other = copy.deepcopy(model)
    other.frozen_dtype = 'fp8'
    with pytest.raises(ValueError, match="frozen_dtype is 'fp8'"):
        predict(other, scene())
