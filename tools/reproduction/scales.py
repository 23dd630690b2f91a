"""How large the experiments are: a smoke test, two cores over night (both on the open world), or as in the paper."""
from dataclasses import dataclass

OPEN = 'data/open'
OPEN_BASES = dict(hand='configs/open/hand_adapter_open.py', body='configs/open/body_adapter_open.py')


@dataclass(frozen=True)
class Scale:
    """Where the rows are trained and measured.

    bases: config by part that a row's own lines are laid on; None: the row's own base, the paper's.
    guides: config by part whose frozen expert predicts what guides the *other* part.
    scenes: data to make first, {folder: arguments of tools/open_world/make_arctic.py}.
    data: folder by domain: 'target' is trained on and held out, 'source' is what the experts know; None: as the configs say.
    iterations: None as the configs say.  validations: how often a training run is measured on its way.
    """
    name: str
    bases: dict[str, str] | None
    guides: dict[str, str]
    scenes: dict[str, tuple[str, ...]]
    data: dict[str, str | None]
    iterations: int | None
    validations: int
    seeds: int


def _scenes(suffix: str, train: str, held_out: str) -> tuple[dict[str, tuple[str, ...]], dict[str, str]]:
    """Scenes to make and their folders by domain; of the source domain only the held-out people are of use."""
    data = dict(target=f'{OPEN}/arctic{suffix}', source=f'{OPEN}/arctic_source_test{suffix}')
    sizes = dict(target=train, source='--subjects 1 --sequences 1')
    return {data[domain]: ('--domain', domain, *sizes[domain].split(), *held_out.split()) for domain in data}, data


_SMOKE = _scenes('_smoke', '--subjects 2 --sequences 2', '--val-subjects 2 --val-sequences 2 --frames 2')
_TINY = _scenes('', '--subjects 8 --sequences 8', '--val-subjects 3 --val-sequences 4 --frames 5')
SCALES = {scale.name: scale for scale in (
    Scale('smoke', OPEN_BASES, OPEN_BASES, *_SMOKE, iterations=20, validations=0, seeds=1),
    Scale('tiny', OPEN_BASES, OPEN_BASES, *_TINY, iterations=1000, validations=4, seeds=3),
    Scale('paper', None, dict(hand='configs/hand_adapter_arctic.py', body='configs/body_adapter_arctic.py'), {},
          dict(target=None), iterations=None, validations=3, seeds=1))}
