"""Persons on disk: exact round trips, the published schema, the body model's identity."""
import copy
import json
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from hmradapter.apis import BodyModel, PersonPrediction, PredictionFileError, load_prediction, make_camera, save_prediction
from hmradapter.apis.body_mesh import PARAMETERS
from hmradapter.apis.prediction_files import PERSONS
from hmradapter.apis.schema import json_schema, write_schemas
from hmradapter.body_models import SMPLXLayer

PUBLISHED = Path(__file__).parents[2] / 'docs' / 'schemas'


@pytest.fixture(scope='module')
def body_model(open_body_models):
    return BodyModel.load(open_body_models / 'smplx')


@pytest.fixture(scope='module')
def people(body_model):
    return [person(body_model, seed) for seed in range(2)]


def person(body_model, seed):
    chance = np.random.default_rng(seed)
    values = {name: chance.normal(size=shape).astype(np.float32) for name, shape in PERSONS.arrays.items()}
    for name in (*PERSONS.rotations, 'mano_global_orient', 'mano_hand_pose'):
        shape = PERSONS.arrays[name]
        turns = Rotation.random(int(np.prod(shape[:-2])), random_state=seed).as_matrix()
        values[name] = turns.reshape(shape).astype(np.float32)
    vertices, values['keypoints_3d'] = body_model.mesh(values)
    values['score'] = float(values['score'])
    return PersonPrediction(**values, vertices=vertices, faces=body_model.faces, camera=make_camera((640, 480), focal=700.0),
                            flags=('left_hand_missing',) if seed else ())


@pytest.fixture
def saved(people, body_model, tmp_path):
    return save_prediction(people, tmp_path / 'group', body_model, people[0].camera, source=dict(path='group.jpg'))


@pytest.mark.parametrize('kind', [0, 1])
def test_what_is_loaded_is_bit_for_bit_what_was_saved(saved, people, body_model, kind):
    for found, expected in zip(load_prediction(saved[kind], body_model), people, strict=True):
        for name in (*PERSONS.arrays, 'vertices', 'faces'):
            np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), err_msg=name)
        assert (found.flags, found.camera.size, found.score) == (expected.flags, expected.camera.size, expected.score)


def test_files_follow_the_published_schema(saved):
    published = json.loads((PUBLISHED / 'persons-1.json').read_text())
    jsonschema.Draft202012Validator.check_schema(published)
    content = json.loads(saved[0].read_text())
    jsonschema.validate(content, published)
    for damage in (lambda c: c['persons'][0]['betas'].pop(), lambda c: c.update(version=2), lambda c: c['camera'].pop('focal'),
                   lambda c: c['persons'][1].pop('flags'), lambda c: c['persons'][0]['body_pose'][3][1].append(0.0)):
        broken = copy.deepcopy(content)
        damage(broken)
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(broken, published)


def test_the_published_schemas_are_those_of_the_code(tmp_path):
    for path in write_schemas(tmp_path):
        assert path.read_text() == (PUBLISHED / path.name).read_text(), 'run python -m hmradapter.apis.schema docs/schemas'
    assert json_schema(PERSONS)['properties']['schema'] == dict(const='hmradapter.persons')


def test_another_body_model_is_refused(saved, open_body_models, tmp_path):
    with pytest.raises(PredictionFileError, match='was made with the body model of sha256'):
        load_prediction(saved[0], open_body_models / 'smplx' / 'SMPLX_MALE.npz')
    with pytest.raises(ValueError, match='holds persons; a int does not fit'):
        load_prediction(saved[0], 3)


def test_an_image_with_nobody_in_it_is_a_file_too(body_model, tmp_path):
    for path in save_prediction([], tmp_path / 'empty', body_model, make_camera((64, 48))):
        assert load_prediction(path, body_model) == []


def test_the_mesh_is_that_of_the_layer(people, body_model):
    one, layer = people[0], SMPLXLayer(body_model.path)
    given = {name: torch.from_numpy(getattr(one, name))[None] for name in PARAMETERS}
    body = layer(**given | {name: given[name][:, None] for name in ('global_orient', 'jaw_pose')})
    np.testing.assert_allclose(body.vertices[0].numpy(), one.vertices, atol=1e-5)
