"""Laws of the dual path: what it is made of, what a mirror does and a missing hand, and that neighbours do not matter."""
import numpy as np
import pytest
import torch
from mmengine.structures import BaseDataElement
from tiny_experts import CROP, write_adapters, write_experts
from torch.testing import assert_close

from hmradapter.geometry.handover import SIDES, hand_from_body
from hmradapter.geometry.mirror import mirror_body_pose, mirror_image, mirror_rotmat
from hmradapter.geometry.rotations import axis_angle_to_rotmat
from hmradapter.models.estimators import DualPathEstimator, WholeBodyExpert
from hmradapter.structures import HMRDataSample
from hmradapter.structures.data_sample import stack_samples

WIDTH, HEIGHT = 160, 240


@pytest.fixture(scope='module')
def configs(open_body_models, tmp_path_factory):
    """Both experts with weights on disk."""
    return write_experts(tmp_path_factory.mktemp('experts'), open_body_models)


@pytest.fixture(scope='module')
def adapters(configs, tmp_path_factory):
    """Adapter files whose adapters do something."""
    return write_adapters(configs, tmp_path_factory.mktemp('adapters'))


def estimator(configs, adapters=None, **fields):
    parts = {name: dict(config, **(adapters or {}).get(name, {})) for name, config in configs.items()}
    return DualPathEstimator(**parts, hand_crop=CROP, **fields).eval()


class KnownHead:
    """Passes on what `KnownBody` found."""

    def __init__(self, frame):
        self.frame = frame

    def __call__(self, features, tokens, adapter=None):
        return features


class KnownBody(torch.nn.Module):
    """Says of a picture whose left half is brighter what it was told to say, and the mirror image of that of any other one."""

    def __init__(self, expert: WholeBodyExpert, seed: int = 0):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.expert, self.adapter, self.body_model, self.mesh = expert, None, expert.body_model, expert.mesh
        self.head = KnownHead(expert.head.frame)
        self.pose = axis_angle_to_rotmat(0.4 * torch.randn(22, 3, generator=generator))
        self.fingers = axis_angle_to_rotmat(0.2 * torch.randn(2, 15, 3, generator=generator))
        self.centers = torch.tensor([[1.5, 3.0], [4.0, 5.5]])  # cells
        self.sizes = torch.tensor([[1.2, 1.0], [0.9, 1.4]])

    def extract(self, inputs):
        half = inputs.shape[-1] // 2
        return inputs[..., :half].mean((1, 2, 3)) > inputs[..., half:].mean((1, 2, 3)), None

    def decode(self, is_told, mesh=True):
        rows = [self._say(bool(told)) for told in is_told]
        zeros = torch.zeros(len(rows), 10)
        return dict({name: torch.stack([row[name] for row in rows]) for name in rows[0]}, betas=zeros, expression=zeros,
                    jaw_pose=torch.eye(3).expand(len(rows), 1, 3, 3), cam_t=torch.tensor((0.0, 0, 20)).expand(len(rows), 3))

    def _say(self, told):
        pose, fingers, centers, sizes = self.pose, self.fingers, self.centers, self.sizes
        if not told:
            pose, fingers = mirror_body_pose(pose), mirror_rotmat(fingers).flip(0)
            frame = self.head.frame  # pixel x of the image becomes W - 1 - x
            last = frame.map_size[2] - 192 / WIDTH / (frame.crop_factor * frame.cell[0])
            centers = torch.stack((last - centers[:, 0], centers[:, 1]), dim=1).flip(0)
            sizes = sizes.flip(0)
        return dict(global_orient=pose[:1], body_pose=pose[1:], left_hand_pose=fingers[0], right_hand_pose=fingers[1],
                    box_centers=torch.cat((centers, torch.zeros(1, 2))), box_sizes=torch.cat((sizes, torch.zeros(1, 2))))


def with_known_body(model):
    model.body = KnownBody(model.body)
    return model


def picture(seed=0):
    """A smooth picture (H, W, 3), its left half brighter."""
    coarse = np.random.default_rng(seed).integers(0, 160, (12, 8, 3), dtype=np.uint8)
    image = np.kron(coarse, np.ones((HEIGHT // 12, WIDTH // 8, 1), np.uint8))
    image[:, :WIDTH // 2] += 90
    return image


def batch(images):
    """Persons who fill their images: 1 px of the image is 1.2 of the crop of 256 x 192."""
    inputs, samples = [], []
    for k, image in enumerate(images):
        scale = 192 / WIDTH
        matrix = torch.tensor([[scale, 0, 0], [0, 256 / HEIGHT, 0], [0, 0, 1.0]])
        crop = BaseDataElement(
            box_center=torch.tensor([(WIDTH - 1) / 2, HEIGHT / 2]), box_size=torch.tensor([WIDTH, HEIGHT], dtype=torch.float32),
            img_size=torch.tensor([WIDTH, HEIGHT], dtype=torch.float32), focal=torch.tensor([900.0, 900.0]),
            princpt=torch.tensor([(WIDTH - 1) / 2, HEIGHT / 2]), crop_from_image=matrix)
        samples.append(HMRDataSample(metainfo=dict(key=str(k), image=image), crop=crop))
        small = torch.nn.functional.interpolate(torch.from_numpy(image[..., ::-1].copy()).permute(2, 0, 1)[None].float(),
                                                size=(128, 96))
        inputs.append(small[0] / 255)
    return torch.stack(inputs), stack_samples(samples)


@torch.no_grad()
def run(model, images, row='ours'):
    return model(*batch(images), mode='tensor')[row]


PARAMETERS = ('global_orient', 'body_pose', 'left_hand_pose', 'right_hand_pose', 'hand_betas', 'hand_global_orient',
              'hand_present')


@pytest.mark.parametrize('integrator', ['wrist_copy', 'elbow_twist', 'body_wrist'])
def test_without_adapters_it_is_the_two_experts_and_the_integrator(configs, integrator):
    model = with_known_body(estimator(configs, integrator=dict(type=integrator), rows=('expert', 'combined')))
    groups = model(*batch([picture(0), picture(1)]), mode='tensor')
    for name in PARAMETERS + ('vertices',):
        assert torch.equal(groups['ours'][name], groups['combined'][name])
    # by hand: crop, hand expert, un-mirror, integrate
    ours, body = groups['ours'], model.body
    assert groups['expert']['body_pose'][0].equal(body.pose[1:])
    assert bool(ours['hand_present'].all())
    for k, side in enumerate(SIDES):
        box = ours['hand_boxes'][0, k]
        cut = model.hand_crop(dict(img=picture(0), hand=side, box_center=(box[:2] + box[2:]) / 2, box_wh=box[2:] - box[:2]))
        crop = torch.from_numpy(cut['img'][..., ::-1].copy()).permute(2, 0, 1)[None].float()
        read = model.hand.regress(model.hand.data_preprocessor(dict(inputs=crop))['inputs'], None)
        turn = mirror_rotmat if side == 'left' else (lambda x: x)
        assert_close(ours[f'{side}_hand_pose'][0], turn(read['hand_pose'][0]), atol=1e-5, rtol=0)
        whole = torch.cat((ours['global_orient'], ours['body_pose']), dim=1)
        expected = hand_from_body(body.pose)[k] if integrator == 'body_wrist' else turn(read['global_orient'][0, 0])
        assert_close(hand_from_body(whole)[0, k], expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize('ray_strength', [(0.0, 0.0), (1.0, 0.5)])
def test_a_mirrored_photo_gives_the_mirrored_person(configs, adapters, ray_strength):
    model = with_known_body(estimator(configs, dict(hand=adapters['hand']), ray_strength=ray_strength))
    image = picture()
    one, other = (run(model, [seen]) for seen in (image, np.ascontiguousarray(mirror_image(image))))
    body, mirrored = (torch.cat((x['global_orient'], x['body_pose']), dim=1) for x in (one, other))
    # bilinear warps of the picture and of its mirror image round to different grey levels
    assert_close(mirrored, mirror_body_pose(body), atol=2e-3, rtol=0)
    assert_close(other['left_hand_pose'], mirror_rotmat(one['right_hand_pose']), atol=2e-3, rtol=0)
    assert_close(other['right_hand_pose'], mirror_rotmat(one['left_hand_pose']), atol=2e-3, rtol=0)
    assert_close(other['hand_betas'], one['hand_betas'].flip(1), atol=2e-3, rtol=0)
    assert (one['hand_pose'][:, 0] - mirror_rotmat(one['hand_pose'][:, 1])).abs().max() > 0.01  # the two hands do differ


def test_neighbours_and_their_order_change_nothing(configs, adapters):
    model = estimator(configs, adapters, min_side=0.0, min_inside=0.0)
    images = [picture(seed) for seed in range(3)]
    together = run(model, images)
    assert bool(together['hand_present'].all())
    for order in ([0], [2, 0, 1], [1, 1]):
        again = run(model, [images[k] for k in order])
        for name in PARAMETERS:
            assert_close(again[name], together[name][order], atol=1e-5, rtol=0)


def test_the_adapters_change_the_result_and_their_rows_do_not(configs, adapters):
    plain = estimator(configs, rows=('expert', 'combined'), min_side=0.0, min_inside=0.0)
    adapted = estimator(configs, adapters, rows=('expert', 'combined'), min_side=0.0, min_inside=0.0)
    base, ours = (model(*batch([picture()]), mode='tensor') for model in (plain, adapted))
    for row in ('expert', 'combined'):
        for name in ('body_pose', 'left_hand_pose', 'vertices'):
            assert_close(ours[row][name], base[row][name], atol=1e-5, rtol=0)
    for name in ('body_pose', 'left_hand_pose', 'vertices'):
        assert (ours['ours'][name] - base['ours'][name]).abs().max() > 1e-3


def test_in_a_second_round_the_hands_refine_the_body_that_guides_them(configs, adapters):
    options = dict(min_side=0.0, min_inside=0.0)
    once, twice = (run(estimator(configs, adapters, rounds=rounds, **options), [picture()]) for rounds in (1, 2))
    for name in ('body_pose', 'left_hand_pose'):
        assert (twice[name] - once[name]).abs().max() > 1e-4
    # without a body adapter there is nothing that hands could refine
    alone = dict(hand=adapters['hand'])
    first, second = (run(estimator(configs, alone, rounds=rounds, **options), [picture()]) for rounds in (1, 2))
    assert all(torch.equal(first[name], second[name]) for name in PARAMETERS)


def test_the_knuckles_read_lie_where_the_hand_s_crop_and_the_body_s_have_them(configs):
    model = with_known_body(estimator(configs))
    inputs, samples = batch([picture(0), picture(1)])
    crops = model.cut_hands(model.body.decode(torch.tensor([True, False])), samples)
    points = torch.rand(len(crops.person), 21, 2, generator=torch.Generator().manual_seed(0)) - 0.5
    read = model.knuckles_read(dict(keypoints_2d=points), crops, samples)['read_joints']
    assert read.shape == (2, 2, 20, 3) and bool((read[..., 2] == 1).all())
    for n, (person, side) in enumerate(zip(crops.person, crops.side, strict=True)):
        size, center = crops.sizes[person, side], crops.centers[person, side]
        mirror = -1.0 if SIDES[side] == 'left' else 1.0
        offset = points[n, 1:] * size * torch.tensor((mirror, 1.0))
        cells = (center + offset) * torch.tensor((6 / WIDTH, 8 / HEIGHT))  # the person fills the image
        assert_close(read[person, side, :, :2], cells, atol=1e-3, rtol=0)
    assert not model.knuckles_read({}, crops, samples)['read_joints'].any()


def test_a_hand_without_a_usable_box_stays_the_whole_body_experts(configs, adapters):
    model = with_known_body(estimator(configs, dict(hand=adapters['hand'])))
    model.body.sizes[1] = 0.1  # 1.3 px of the image
    found = run(model, [picture()])
    assert found['hand_present'].tolist() == [[True, False]]
    assert torch.equal(found['right_hand_pose'][0], model.body.fingers[1])
    assert torch.equal(found['body_pose'][0, 20], model.body.pose[21])   # the right wrist
    assert not torch.equal(found['left_hand_pose'][0], model.body.fingers[0])
    assert torch.equal(found['hand_boxes'][0, 1], torch.zeros(4))
    model.body.sizes[:] = 0.1
    assert not run(model, [picture()])['hand_present'].any()


def test_mistakes_are_told(configs):
    model = estimator(configs)
    inputs, samples = batch([picture()])
    with pytest.raises(ValueError, match='train its adapters with their own configs'):
        model(inputs, samples, mode='loss')
    samples.set_metainfo(dict(image=[None]))
    with pytest.raises(ValueError, match="PackPersonInputs with image=True"):
        model(inputs, samples)
    with pytest.raises(ValueError, match="rows has .'best'."):
        estimator(configs, rows=('best',))
    with pytest.raises(ValueError, match='rounds is 0'):
        estimator(configs, rounds=0)
