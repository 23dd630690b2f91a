"""How large the experiments are: a smoke test, two cores over night (both on the open world), or as in the paper."""
import shlex
from dataclasses import dataclass, field

OPEN = 'data/open'


@dataclass(frozen=True)
class Scale:
    """Where the rows are trained and measured.

    bases: config by part (`tables.Table`) that a row's own lines are laid on; without one the row's own base, the paper's.
    guide: config whose frozen whole-body expert predicts the bodies that guide hands.
    scenes: how data is made, {folder: command}; what a table reads is made first.
    data: folders by part and domain: 'target' is trained on and held out, 'source' is what the experts know; None: as the
        configs say.
    mixtures: config by part that adapters of whole persons are laid on, where they do not learn from the rows' own data.
    named_experts: whether the configs name the experts' files; if not, the command has to.
    iterations: None as the configs say.  validations: how often a training run is measured on its way.
    """
    name: str
    bases: dict[str, str]
    guide: str
    scenes: dict[str, tuple[str, ...]]
    data: dict[str, dict[str, str | None]]
    named_experts: bool
    iterations: int | None
    validations: int
    seeds: int
    mixtures: dict[str, str] = field(default_factory=dict)


def _open_world(suffix: str, train: str, held_out: str, people: str, sequences: str) -> tuple[dict, dict]:
    """Scenes to make and folders by part and domain; of the source domain only the held-out people are of use."""
    target, source, ehf, pw3d = (f'{OPEN}/{name}{suffix}' for name in ('arctic', 'arctic_source_test', 'ehf', '3dpw'))
    arctic, bodies = 'tools/open_world/make_arctic.py --domain', 'tools/open_world/make_bodies.py --layout'
    scenes = {target: f'{arctic} target {train} {held_out}',
              source: f'{arctic} source --subjects 1 --sequences 1 {held_out}',
              ehf: f'{bodies} ehf --frames {people}', pw3d: f'{bodies} 3dpw {sequences}'}
    both = dict(target=target, source=source)
    data = dict(hand=both, body=both, dual=both, dual_ehf=dict(target=ehf), dual_3dpw=dict(target=pw3d))
    return {folder: tuple(command.split()) for folder, command in scenes.items()}, data


_OPEN_BASES = {part: f'configs/open/{name}_open.py' for part, name in (
    ('hand', 'hand_adapter'), ('body', 'body_adapter'), ('dual', 'dual_path'), ('dual_ehf', 'dual_path_ehf'),
    ('dual_3dpw', 'dual_path_3dpw'))}
_PAPER_BASES = dict(dual_ehf='configs/dual_path_ehf.py', dual_3dpw='configs/dual_path_3dpw.py')
_SMOKE = _open_world('_smoke', '--subjects 2 --sequences 2', '--val-subjects 2 --val-sequences 2 --frames 2', '8',
                     '--train 1 --validation 1 --test 2 --frames 4')
_TINY = _open_world('', '--subjects 8 --sequences 8', '--val-subjects 3 --val-sequences 4 --frames 5', '100',
                    '--train 2 --validation 1 --test 4 --frames 20')
SCALES = {scale.name: scale for scale in (
    Scale('smoke', _OPEN_BASES, _OPEN_BASES['body'], *_SMOKE, named_experts=True, iterations=20, validations=0, seeds=1),
    Scale('tiny', _OPEN_BASES, _OPEN_BASES['body'], *_TINY, named_experts=True, iterations=1000, validations=4, seeds=3),
    Scale('paper', _PAPER_BASES, 'configs/body_adapter_arctic.py', {}, {part: dict(target=None) for part in _OPEN_BASES},
          named_experts=False, iterations=None, validations=4, seeds=1,
          mixtures={part: f'configs/{part}_adapter_mixed.py' for part in ('hand', 'body')}))}


def scenes_of(scale: Scale, part: str) -> list[str]:
    """How the data of a part is made, a line for each folder."""
    return [shlex.join((folder, *scale.scenes[folder])) for folder in scale.data[part].values() if folder in scale.scenes]
