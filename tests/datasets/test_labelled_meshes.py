"""Meshes posed from records are those that the records' makers had."""
import numpy as np
import pytest
from arctic_fixture import write_arctic
from pw3d_fixture import write_pw3d

from hmradapter.datasets.labelled_meshes import LabelledMeshes
from hmradapter.datasets.record import FLAGS, SIDES, empty_records
from hmradapter.datasets.sources import ArcticSource, BEDLAMSource, PW3DSource
from hmradapter.synthetic.layouts import write_bedlam


@pytest.fixture(scope='module')
def meshes(open_body_models):
    return LabelledMeshes(open_body_models)


def posed(meshes, store, row):
    """From the parameters, also where the mesh is stored."""
    record = np.array([store.record(row)])
    record['verts_row'] = -1
    return meshes.person(record[0], store)


@pytest.mark.parametrize('truth', ['template', 'neutral'])
def test_subjects_with_a_template(tmp_path, open_body_models, meshes, truth):
    write_arctic(tmp_path, open_body_models)
    store = ArcticSource(tmp_path, open_body_models, split='val', stride=8, truth=truth).prepare()
    record = store.record(0)
    stored, found = meshes.person(record, store), posed(meshes, store, 0)
    if truth == 'template':
        assert np.abs(found - stored).max() < 1e-5
    else:
        assert stored.shape == found.shape
    for i, side in enumerate(SIDES):  # MANO's own shape and place
        hand = meshes.hand(record, side)
        joints = record['hand_kpts3d'][i, :, :3]
        tips = np.linalg.norm(hand[:, None] - joints[[4, 8, 12, 16, 20]], axis=-1).min(0)
        assert tips.max() < 1e-5


def test_gendered_smpl(tmp_path, open_body_models, meshes):
    write_pw3d(tmp_path, open_body_models)
    store = PW3DSource(tmp_path, open_body_models).prepare()
    for row in (0, 5):
        assert np.abs(posed(meshes, store, row) - store.vertices(row)).max() < 1e-5


def test_neutral_smplx_and_hands_without_a_shape(tmp_path, open_body_models, meshes):
    truth = write_bedlam(tmp_path, open_body_models)
    store = BEDLAMSource(tmp_path, open_body_models).prepare()
    for row in (0, 6):
        figure = truth[store.key(row)]['figure']
        assert np.abs(meshes.person(store.record(row), store) - figure.vertices).max() < 1e-5
        for side in SIDES:
            gap = np.linalg.norm(meshes.hand(store.record(row), side) - figure.hands[side].vertices, axis=1)
            assert gap.max() < 0.03 and gap.mean() < 0.01  # the mean hand, turned and bent as this one


def test_nothing_labelled_gives_nothing(meshes, tmp_path):
    record = empty_records(1, 'coco_wholebody')[0]
    assert meshes.person(record, None) is None and meshes.hand(record, 'left') is None
    record['flags'] = (1 << len(FLAGS)) - 1
    record['model'], record['hand_kpts3d'][0, 0, 3] = 3, 1
    with pytest.raises(FileNotFoundError, match='SMPL-X'):
        LabelledMeshes(tmp_path).person(record, None)
    with pytest.raises(FileNotFoundError, match='MANO'):
        LabelledMeshes(tmp_path).hand(record, 'left')
