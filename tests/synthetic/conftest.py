"""A person of the open body model, and a tiny open ARCTIC."""
import numpy as np
import pytest

from hmradapter.body_models import SMPLXLayer
from hmradapter.synthetic.generator import Recipe, generate
from hmradapter.synthetic.people import make_person


@pytest.fixture(scope='session')
def person(open_body_models):
    layers = {gender: SMPLXLayer(str(open_body_models / 'smplx'), gender) for gender in ('male', 'female')}
    return make_person('s01', layers, np.random.default_rng(0))


@pytest.fixture(scope='session')
def tiny_recipe(open_body_models):
    return Recipe(subjects=1, val_subjects=1, sequences=1, val_sequences=1, frames=3, views=(5, 1), size=(240, 180), seed=3,
                  body_models=str(open_body_models))


@pytest.fixture(scope='session')
def tiny_arctic(tiny_recipe, tmp_path_factory):
    """Made once in this process; not to be changed."""
    out = tmp_path_factory.mktemp('tiny') / 'arctic'
    generate(tiny_recipe, out)
    return out
