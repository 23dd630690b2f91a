"""The crop against plain whole-image code, draws that can be replayed, and the mirror law."""
import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.dataset import Compose

from hmradapter.datasets.images import ImageFileError, probe_image, read_image, verify_image
from hmradapter.datasets.transforms import (
    ColorJitter,
    GuidanceNoise,
    HandCrop,
    LoadImage,
    PackHandInputs,
    RandomHandAugmentation,
    RandomOcclusion,
)
from hmradapter.datasets.transforms.crop import warp_region
from hmradapter.geometry import boxes, cameras, kinematics, mirror
from hmradapter.geometry.rotations import axis_angle_to_rotmat, geodesic_angle
from hmradapter.registry import TRANSFORMS
from hmradapter.structures.joints import ARM_CHAIN

K = torch.tensor([[400.0, 0, 163], [0, 410.0, 117], [0, 0, 1]])


def picture(seed=0, width=320, height=240):
    noise = np.random.default_rng(seed).integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
    return cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)


def scene(hand='right', seed=0):
    """A hand in front of a camera, its body, its picture: a dict as a data set gives it, without a file."""
    rng = np.random.default_rng(seed)
    points = torch.from_numpy(rng.normal(0, 0.05, (21, 3)) + [0.05, 0.02, 0.6]).float()
    pixels = cameras.project(points, K)
    box = boxes.box_from_points(pixels)
    center, wh = boxes.box_center_size(box)
    ones = torch.ones(21, 1)
    body = axis_angle_to_rotmat(torch.from_numpy(rng.normal(0, 0.4, (22, 3))).float())
    return dict(key=f'scene/{seed}', img_path='', sample_idx=seed, hand=hand, img=picture(seed),
                img_size=np.float32([320, 240]), box_center=center, box_wh=wh, focal=K.diagonal()[:2], princpt=K[:2, 2],
                global_orient=kinematics.chain_product(body, ARM_CHAIN[hand])[None],
                hand_pose=axis_angle_to_rotmat(torch.from_numpy(rng.normal(0, 0.4, (15, 3))).float()),
                betas=torch.from_numpy(rng.normal(size=10)).float(), keypoints_2d=torch.cat((pixels, ones), 1),
                keypoints_3d=torch.cat((points, ones), 1), body_pose=body,
                has_global_orient=1.0, has_hand_pose=1.0, has_betas=1.0, has_body_pose=1.0)


def mirrored_scene(results):
    """The same scene seen in the mirror, by the camera of the mirrored picture."""
    out = dict(results)
    width = results['img'].shape[1]
    out['hand'] = 'left' if results['hand'] == 'right' else 'right'
    out['img'] = np.ascontiguousarray(results['img'][:, ::-1])
    out['box_center'] = mirror.mirror_pixels(results['box_center'], width)
    out['keypoints_2d'] = mirror.mirror_pixels(results['keypoints_2d'], width)
    out['princpt'] = mirror.mirror_pixels(results['princpt'], width)
    out['keypoints_3d'] = mirror.mirror_points(results['keypoints_3d'])
    for name in ('global_orient', 'hand_pose'):
        out[name] = mirror.mirror_rotmat(results[name])
    out['body_pose'] = mirror.mirror_body_pose(results['body_pose'])
    return out


def plain_warp(image, matrix, size, mirrored, sigma):
    """The reference's order, on the whole image."""
    if sigma:
        radius = int(4 * sigma + 0.5)
        kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
        kernel /= kernel.sum()
        for axis in (0, 1):
            padded = np.pad(image.astype(float), [(radius, radius) if a == axis else (0, 0) for a in range(3)], mode='edge')
            image = sum(w * np.take(padded, np.arange(image.shape[axis]) + k, axis) for k, w in enumerate(kernel))
    if mirrored:
        image = np.ascontiguousarray(image[:, ::-1])
    return cv2.warpAffine(image, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)


@settings(deadline=None, max_examples=60)
@given(st.floats(-60, 380), st.floats(-60, 300), st.floats(12, 700), st.floats(-180, 180), st.booleans(), st.booleans(),
       st.sampled_from([64, 128, 256]))
def test_warping_the_needed_region_is_warping_the_image(x, y, side, degrees, mirrored, blurred, size):
    matrix = boxes.crop_affine(torch.tensor([x, y], dtype=torch.float64), torch.tensor(side), size, 1.0, degrees).numpy()
    sigma = max(side / size / 2 - 1, 0) / 2 if blurred else 0.0
    crop = warp_region(picture(), matrix, size, mirrored, sigma)
    expected = plain_warp(picture(), matrix, size, mirrored, sigma)
    difference = np.abs(crop.astype(float) - expected)
    # OpenCV rounds positions to 1/32 pixel; an exact tie may fall to the other side when the origin moves, along x and along y
    steepest = max(np.abs(np.diff(picture().astype(float), axis=axis)).max() for axis in (0, 1))
    assert (difference > (1e-4 if sigma else 0)).mean() < 2e-3 or (not sigma and difference.max() <= 1 + 2 * steepest / 32)


def test_a_crop_outside_the_image_is_black():
    matrix = boxes.crop_affine(torch.tensor([-900.0, 50.0], dtype=torch.float64), torch.tensor(40.0), 64).numpy()
    assert not warp_region(picture(), matrix, 64).any()
    assert warp_region(picture(), matrix, 64, sigma=2.0).dtype == np.float32


@pytest.mark.parametrize('degrees', [0.0, 25.0])
@pytest.mark.parametrize('size', [256, 128])
def test_a_mirrored_scene_gives_the_mirrored_sample(degrees, size):
    pipeline = Compose([HandCrop(size), ColorJitter(), PackHandInputs()])
    chance = dict(color=(1.1, 0.9, 1.0))
    shift = (0.01, -0.02)
    for seed in range(4):
        right = scene('right', seed)
        # a shift is drawn in the unmirrored image, as in HaMeR: the same draw goes the other way in the mirror
        draw, mirrored_draw = (dict(scale=0.9, degrees=degrees, shift=(sign * shift[0], shift[1])) for sign in (1, -1))
        one = pipeline(dict(right, **chance, augmentation=draw))
        two = pipeline(dict(mirrored_scene(right), **chance, augmentation=mirrored_draw))
        assert (one['inputs'].int() - two['inputs'].int()).abs().max() <= 1
        assert (one['inputs'] != two['inputs']).float().mean() < 2e-3
        for group, field, value in one['data_samples'].tensors():
            other = two['data_samples'].get(group).get(field)
            if field not in ('is_right', 'box_center', 'princpt', 'crop_from_image'):  # these belong to the unmirrored image
                torch.testing.assert_close(value, other, atol=1e-5, rtol=1e-5, msg=f'{group}.{field}')


@pytest.mark.parametrize('hand', ['right', 'left'])
def test_guidance_still_leads_to_the_hand_after_every_augmentation(hand):
    """The arm chain's product is the hand's global orientation before and after: mirror and turn hit both alike."""
    out = HandCrop()(dict(scene(hand, 3), augmentation=dict(scale=1.2, degrees=-37.0, shift=(0.0, 0.0))))
    product = kinematics.chain_product(out['body_pose'], ARM_CHAIN['right'])
    assert geodesic_angle(product, out['global_orient'][0]) < 1e-3
    torch.testing.assert_close(product, out['global_orient'][0], atol=1e-5, rtol=0)


@pytest.mark.parametrize('hand', ['right', 'left'])
def test_crop_matrix_and_undo(hand):
    original = scene(hand, 5)
    crop = HandCrop(128)
    out = crop(dict(original, augmentation=dict(scale=0.8, degrees=15.0, shift=(0.02, 0.0))))
    back = crop.undo(out['keypoints_2d'][:, :2], out['crop_from_image'])
    torch.testing.assert_close(back, original['keypoints_2d'][:, :2], atol=2e-3, rtol=0)


def test_turned_points_project_where_the_turned_picture_shows_them():
    """A camera turned about its axis: with the crop's centre at the principal point, 3D and 2D agree exactly."""
    original = scene('right', 2)
    focal, center = torch.tensor([400.0, 400.0]), K[:2, 2]
    pixels = cameras.project(original['keypoints_3d'][:, :3], focal, center)
    original |= dict(keypoints_2d=torch.cat((pixels, torch.ones(21, 1)), 1), box_center=center)
    out = HandCrop(256)(dict(original, augmentation=dict(scale=1.0, degrees=30.0, shift=(0.0, 0.0))))
    seen = cameras.project(out['keypoints_3d'][:, :3], focal / out['box_size'], torch.zeros(2))
    torch.testing.assert_close(out['keypoints_2d'][:, :2], seen, atol=1e-5, rtol=0)


def test_draws_are_kept_and_replayed():
    pipeline = Compose([RandomHandAugmentation(), HandCrop(64), RandomOcclusion(1.0), ColorJitter(),
                        GuidanceNoise(degrees=5, dropout=0.3)])
    first = pipeline(dict(scene(), rng=np.random.default_rng(7)))
    again = pipeline(dict(scene(), rng=np.random.default_rng(7)))
    drawn = {name: first[name] for name in ('augmentation', 'occlusion', 'color', 'guidance_draw')}
    replayed = pipeline(dict(scene(), **drawn))
    for other in (again, replayed):
        np.testing.assert_array_equal(first['img'], other['img'])
        torch.testing.assert_close(first['body_pose'], other['body_pose'], atol=0, rtol=0)
        assert first['augmentation'] == other['augmentation']
    assert pipeline(dict(scene(), rng=np.random.default_rng(8)))['augmentation'] != first['augmentation']


def test_draws_have_hamers_distribution():
    rng = np.random.default_rng(0)
    draws = [RandomHandAugmentation().transform(dict(rng=rng))['augmentation'] for _ in range(4000)]
    scale, degrees = np.array([d['scale'] for d in draws]), np.array([d['degrees'] for d in draws])
    shift = np.array([d['shift'] for d in draws])
    assert scale.min() == 0.7 and scale.max() == 1.3 and abs(scale.mean() - 1) < 0.02
    assert np.abs(degrees).max() == 60 and abs((degrees == 0).mean() - 0.4) < 0.03
    assert np.abs(shift).max() == 0.02 and abs((np.abs(shift) == 0.02).mean() - 0.317) < 0.03
    assert abs((scale == 1.3).mean() - 0.1587) < 0.02  # clipped, not redrawn


def test_guidance_noise_and_dropout():
    original = scene()
    same = GuidanceNoise()(dict(original, rng=np.random.default_rng(0)))
    torch.testing.assert_close(same['body_pose'], original['body_pose'], atol=0, rtol=0)
    gone = GuidanceNoise(dropout=1.0)(dict(original, rng=np.random.default_rng(0)))
    assert not gone['body_pose'].any() and gone['has_body_pose'] == 0
    noisy = GuidanceNoise(degrees=10)(dict(original, rng=np.random.default_rng(0)))
    angles = geodesic_angle(noisy['body_pose'], original['body_pose'])
    assert 0.05 < angles.mean() < 0.6
    torch.testing.assert_close(noisy['body_pose'] @ noisy['body_pose'].mT, torch.eye(3).expand(22, 3, 3), atol=1e-5, rtol=0)
    with pytest.raises(ValueError, match='dropout'):
        GuidanceNoise(dropout=2)


def test_an_occlusion_covers_its_rectangle_and_nothing_else():
    original, covers = picture(), RandomOcclusion(probability=1.0, sides=(0.2, 0.6))
    rng, kinds = np.random.default_rng(0), set()
    for _ in range(40):
        out = covers(dict(img=original, rng=rng))
        (x, y, w, h), fill = out['occlusion'].values()
        side = original.shape[0]
        assert int(0.2 * side) <= min(w, h) <= max(w, h) <= 0.6 * side and x + w <= side and y + h <= side
        expected = original[fill[1]:fill[1] + h, fill[0]:fill[0] + w] if len(fill) == 2 else np.broadcast_to(fill, (h, w, 3))
        np.testing.assert_array_equal(out['img'][y:y + h, x:x + w], expected)
        changed = out['img'].copy()
        changed[y:y + h, x:x + w] = original[y:y + h, x:x + w]
        np.testing.assert_array_equal(changed, original)
        kinds.add(len(fill))
    assert kinds == {2, 3}


def test_how_often_something_is_covered():
    rng = np.random.default_rng(0)
    drawn = [RandomOcclusion(probability=0.3)(dict(img=picture(), rng=rng))['occlusion'] for _ in range(1000)]
    assert abs(sum(draw is not None for draw in drawn) / 1000 - 0.3) < 0.05
    for wrong in (dict(probability=1.5), dict(sides=(0.5, 0.2)), dict(sides=(0.0, 0.5)), dict(sides=(0.5, 1.0))):
        with pytest.raises(ValueError, match='RandomOcclusion got'):
            RandomOcclusion(**wrong)


def test_color_jitter_of_bytes_and_floats_agree():
    image = picture()
    one = ColorJitter()(dict(img=image, color=(1.2, 1.0, 0.8)))['img']
    two = ColorJitter()(dict(img=image.astype(np.float32), color=(1.2, 1.0, 0.8)))['img']
    assert one.dtype == np.uint8 and np.abs(one - two).max() <= 0.5
    assert one[..., 2].mean() > image[..., 2].mean() > image[..., 0].mean() - 40  # R grows, given last in BGR


def test_packing_for_training_and_inference():
    packed = Compose([HandCrop(128), PackHandInputs()])(scene('left'))
    assert packed['inputs'].dtype == torch.uint8 and packed['inputs'].shape == (3, 128, 128)
    sample = packed['data_samples']
    assert sample.gt.global_orient.shape == (1, 3, 3) and sample.crop.is_right == 0 and sample.hand == 'left'
    assert sample.visibility is None
    labels = ('global_orient', 'hand_pose', 'betas', 'keypoints_2d', 'keypoints_3d')
    bare = {name: value for name, value in scene().items() if name not in labels}
    assert 'gt' not in Compose([HandCrop(blur=True), PackHandInputs()])(bare)['data_samples']
    with pytest.raises(KeyError, match='crop_from_image'):
        PackHandInputs()(scene())


def test_an_empty_box_is_refused():
    with pytest.raises(ValueError, match='cover something'):
        HandCrop()(dict(scene(), box_wh=[0.0, 0.0]))


def test_loading_and_damaged_files(tmp_path):
    good, cut, text = tmp_path / 'a.jpg', tmp_path / 'b.jpg', tmp_path / 'c.jpg'
    cv2.imwrite(str(good), picture())
    cut.write_bytes(good.read_bytes()[:-300])
    text.write_text('no image')
    assert probe_image(good) == verify_image(good) == (320, 240)
    cv2.imwrite(str(tmp_path / 'd.png'), picture())
    assert verify_image(tmp_path / 'd.png') == (320, 240)
    with pytest.raises(ImageFileError, match='b.jpg.*cut'):
        probe_image(cut)
    with pytest.raises(ImageFileError, match='c.jpg'):
        probe_image(text)
    with pytest.raises(ImageFileError, match='c.jpg'):
        read_image(text)
    load = LoadImage()
    image = load(dict(img_path=good))['img']
    assert load(dict(img_path=good))['img'] is image
    with pytest.raises(ImageFileError, match='320x240, but its labels were made for 640x480'):
        load(dict(img_path=good, img_size=[640, 480]))
    with pytest.raises(FileNotFoundError):
        load(dict(img_path=tmp_path / 'none.jpg'))


def test_a_bmp_is_looked_at(tmp_path):
    path = tmp_path / 'a.bmp'
    cv2.imwrite(str(path), np.zeros((5, 7, 3), np.uint8))
    assert probe_image(path) == verify_image(path) == (7, 5)
    whole = path.read_bytes()
    path.write_bytes(whole[:22] + (-5).to_bytes(4, 'little', signed=True) + whole[26:])  # rows run downwards
    assert probe_image(path) == verify_image(path) == (7, 5)
    for damaged, match in ((whole[:-1], 'so it was cut'), (whole[:18] + bytes(4) + whole[22:], '0x5'),
                           (whole[:20], 'neither JPEG, PNG nor BMP')):
        path.write_bytes(damaged)
        with pytest.raises(ImageFileError, match=match):
            probe_image(path)


def test_transforms_are_registered():
    for name in ('LoadImage', 'HandCrop', 'RandomHandAugmentation', 'ColorJitter', 'GuidanceNoise', 'PackHandInputs'):
        assert TRANSFORMS.get(name) is not None


def test_draws_of_persons_have_smplerxs_distribution():
    augment = TRANSFORMS.build(dict(type='RandomPersonAugmentation'))
    rng = np.random.default_rng(0)
    draws = [augment.transform(dict(rng=rng))['augmentation'] for _ in range(4000)]
    scale, degrees, flip = (np.array([draw[name] for draw in draws]) for name in ('scale', 'degrees', 'flip'))
    assert scale.min() == 0.75 and scale.max() == 1.25 and abs(scale.mean() - 1) < 0.01
    assert np.abs(degrees).max() == 60 and abs((degrees != 0).mean() - 0.6) < 0.03 and abs(flip.mean() - 0.5) < 0.03
    assert abs(degrees[degrees != 0].std() - 30 * 0.94) < 2  # normal, cut at two deviations
    replayed = augment.transform(dict(augmentation=draws[7]))['augmentation']
    assert replayed is draws[7]


def test_hand_joint_noise_and_missing_hands():
    joints = torch.cat((torch.full((2, 20, 2), 5.0), torch.ones(2, 20, 1)), dim=2)
    noise = TRANSFORMS.build(dict(type='HandJointNoise', cells=0.5, dropout=0.25))
    rng = np.random.default_rng(1)
    results = [noise.transform(dict(rng=rng, hand_joints=joints.clone())) for _ in range(800)]
    moved = torch.stack([result['hand_joints'] for result in results])
    assert abs(float(moved[..., :2].std()) - 0.5) < 0.01 and (moved[..., 2] == 1).all()
    assert abs(float(torch.stack([result['has_hands'] for result in results]).mean()) - 0.75) < 0.04
    again = noise.transform(dict(hand_joints=joints.clone(), hand_joint_draw=results[3]['hand_joint_draw']))
    torch.testing.assert_close(again['hand_joints'], results[3]['hand_joints'])
    for wrong in (dict(cells=-1.0), dict(dropout=1.5)):
        with pytest.raises(ValueError, match='HandJointNoise got'):
            TRANSFORMS.build(dict(type='HandJointNoise', **wrong))
