"""Adult people as blends of MakeHuman's morph targets: which targets exist, and how much of each a person is made of.

A macro target belongs to a corner of the slider space, e.g. male x young x maxmuscle x minweight; its weight is the product of
how near each slider is to that corner (the rule of MakeHuman and of anny's `phenotype_blendshape_weights`).
"""
import itertools
from pathlib import Path

import numpy as np

from hmradapter.body_models.open_model.makehuman import read_target

# Sliders, with the places of their corners. Age runs over adults only: 2/3 is 25 years, 1 is 90.
CORNERS = {
    'gender': {'male': 0.0, 'female': 1.0},
    'age': {'young': 2 / 3, 'old': 1.0},
    'muscle': {'minmuscle': 0.0, 'averagemuscle': 0.5, 'maxmuscle': 1.0},
    'weight': {'minweight': 0.0, 'averageweight': 0.5, 'maxweight': 1.0},
    'height': {'minheight': 0.0, 'maxheight': 1.0},
    'proportions': {'idealproportions': 0.0, 'uncommonproportions': 1.0}}
RACES = ('african', 'asian', 'caucasian')
# Local changes that macro targets lack (hands of equal bodies differ too), both sides at once, with their standard deviations.
HAND_CHANGES = {'hand-scale': 0.12, 'hand-fingers-length': 0.3, 'hand-fingers-diameter': 0.5, 'hand-fingers-distance': 0.3}
# Finger lengths differ one by one too; MakeHuman has no targets for that, so they are stretched (see skeleton).
FINGER_LENGTHS = {'thumb': 0.05, 'index': 0.04, 'middle': 0.04, 'ring': 0.04, 'pinky': 0.06}
_BUILD = ('gender', 'age', 'muscle', 'weight')


def target_corners() -> dict[str, tuple[str, ...]]:
    """File of each macro target (below targets/macrodetails, without suffix) -> the corners that it belongs to."""
    found = {}
    for build in itertools.product(*(CORNERS[slider] for slider in _BUILD)):
        found['universal-' + '-'.join(build)] = build
        for slider, folder in (('height', 'height'), ('proportions', 'proportions')):
            for corner in CORNERS[slider]:
                found[f'{folder}/' + '-'.join((*build, corner))] = (*build, corner)
    for race, gender, age in itertools.product(RACES, CORNERS['gender'], CORNERS['age']):
        found[f'{race}-{gender}-{age}'] = (race, gender, age)
    return found


def read_targets(assets: Path, num_vertices: int, progress=iter) -> np.ndarray:
    """Offsets (K, V, 3) metres of all targets: macro ones in the order of `target_corners`, then the hand changes (+, -)."""
    folder = assets / 'mpfb2/targets'
    macro = [folder / 'macrodetails' / f'{name}.target.gz' for name in target_corners()]
    local = [[folder / 'hands' / f'{side}-{change}-{end}.target.gz' for side in 'lr']
             for change in HAND_CHANGES for end in ('incr', 'decr')]
    files = [[path] for path in macro] + local
    return np.stack([sum(read_target(path, num_vertices) for path in paths) for paths in progress(files)])


def target_weights(people: dict[str, np.ndarray]) -> np.ndarray:
    """(N, K) share of each target in people given by sliders (N,), in the order of `read_targets`."""
    near = {}
    for slider, corners in CORNERS.items():
        places = np.array(list(corners.values()))
        hats = np.eye(len(places))
        near.update({name: np.interp(people[slider], places, hats[i]) for i, name in enumerate(corners)})
    near.update({race: people[race] / sum(people[r] for r in RACES) for race in RACES})
    macro = [np.prod([near[corner] for corner in corners], axis=0) for corners in target_corners().values()]
    local = [np.clip(sign * people[change], 0, None) for change in HAND_CHANGES for sign in (1, -1)]
    return np.stack(macro + local, axis=1)


def draw_people(count: int, seed: int) -> dict[str, np.ndarray]:
    """`count` adults by slider; genders half and half. Sliders are drawn around their middle, so extremes are rare."""
    rng = np.random.default_rng(seed)
    people = {slider: rng.beta(2, 2, count) for slider in ('muscle', 'weight', 'proportions')}
    people['height'] = rng.beta(14, 14, count)  # the slider spans 1.2 m to 2.5 m; this gives 0.1 m of deviation
    people['gender'] = np.where(np.arange(count) % 2, rng.beta(6, 1, count), rng.beta(1, 6, count))
    people['age'] = 2 / 3 + rng.beta(1, 2, count) / 3
    people.update({race: rng.uniform(0.05, 1, count) for race in RACES})
    people.update({change: np.clip(rng.normal(0, spread, count), -1, 1) for change, spread in HAND_CHANGES.items()})
    people.update({finger: rng.normal(1, spread, count) for finger, spread in FINGER_LENGTHS.items()})
    return people
