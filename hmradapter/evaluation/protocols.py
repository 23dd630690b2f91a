"""Named protocols: what exactly a number was measured on, so that it can never be quoted without it.

Sources: ARCTIC p1 validation and FreiHAND server as in the HMR-Adapter paper (section 4) and the datasets' own scripts.
"""
import difflib
from dataclasses import dataclass, fields, replace

# What the scorer can measure. Per hand: one value a row, averaged by side. Of a set: one value for all rows.
HAND_MEASURES = ('pve', 'pa_pve', 'mpjpe', 'pa_mpjpe', 'wrist_deg')
SET_MEASURES = ('freihand_server',)


@dataclass(frozen=True)
class Protocol:
    """One way to score hands. `id` is what is printed beside every number.

    dataset, split, views, stride: which samples. alignment: what `pve` and `mpjpe` remove.
    joints: 'model' takes the 21 joints of the body model for the truth (16 regressed, 5 tip vertices), 'dataset' the
        stored ones.
    truth: the mesh that the prediction is compared with.  measures: names in HAND_MEASURES and SET_MEASURES.
    """
    name: str
    dataset: str
    split: str
    views: str = 'all'
    stride: int = 1
    alignment: str = 'wrist'
    joints: str = 'model'
    truth: str = 'MANO of the annotation'
    measures: tuple[str, ...] = HAND_MEASURES

    @property
    def id(self) -> str:
        return (f'{self.name}[{self.dataset} {self.split}, views {self.views}, stride {self.stride}, align {self.alignment}, '
                f'joints {self.joints} HAND21, truth {self.truth}]')

    def on(self, dataset_meta: dict | None) -> 'Protocol':
        """The protocol as it was really run: where the dataset says another split, views or stride than the protocol, its
        values are taken and the name gets a star, since the number is then not the protocol's."""
        actual = run_facts(dataset_meta)
        if all(getattr(self, key) == value for key, value in actual.items()):
            return self
        return replace(self, **actual, name=self.name.rstrip('*') + '*')


def run_facts(dataset_meta: dict | None) -> dict[str, str | int]:
    """What a dataset's metainfo says about the samples that were run: some of split ('p1 val'), views ('1-8'), stride."""
    meta = dataset_meta or {}
    facts = {key: _plain(meta[key]) for key in ('views', 'stride') if meta.get(key) is not None}
    if meta.get('split') is not None:
        facts['split'] = ' '.join(str(meta[key]) for key in ('protocol', 'split') if meta.get(key) is not None)
    return facts


def _plain(value) -> str | int:
    """Views (1, 2, 3, 5) -> '1-3,5'; other values stay."""
    if not isinstance(value, (list, tuple, range)):
        return value
    runs: list[list[int]] = []
    for view in sorted(value):
        if runs and view == runs[-1][1] + 1:
            runs[-1][1] = view
        else:
            runs.append([view, view])
    return ','.join(str(a) if a == b else f'{a}-{b}' for a, b in runs)


PROTOCOLS = {protocol.name: protocol for protocol in (
    Protocol('arctic-p1-val', 'ARCTIC', 'p1 val', views='1-8', stride=10),
    Protocol('open-p1-val', 'open ARCTIC', 'p1 val', views='1-8'),
    Protocol('freihand-eval', 'FreiHAND', 'evaluation', alignment='none (raw) and Procrustes with reflection', joints='dataset',
             truth='MANO of the server', measures=('freihand_server', 'mpjpe', 'pa_mpjpe', 'pve', 'pa_pve')),
    Protocol('hands', 'any', 'given samples'))}


def get_protocol(protocol: str | dict | Protocol) -> Protocol:
    """A protocol by name, or by a dict of the fields of `Protocol` (`name` of a known one, the others override it).

    Raises:
        ValueError: for an unknown name or field; the nearest right one is named.
    """
    if isinstance(protocol, Protocol):
        return protocol
    changes = {} if isinstance(protocol, str) else dict(protocol)
    name = protocol if isinstance(protocol, str) else changes.pop('name', None)
    if name not in PROTOCOLS:
        raise ValueError(f'protocol {name!r} is unknown{_nearest(str(name), PROTOCOLS)}; known are {sorted(PROTOCOLS)}.')
    known = {field.name for field in fields(Protocol)}
    for key in changes:
        if key not in known:
            raise ValueError(f'protocol field {key!r} is unknown{_nearest(key, known)}; fields are {sorted(known)}.')
    changed = replace(PROTOCOLS[name], **changes)
    for measure in changed.measures:
        if measure not in HAND_MEASURES + SET_MEASURES:
            raise ValueError(f'measure {measure!r} is unknown; measures are {HAND_MEASURES + SET_MEASURES}.')
    if changed.joints not in ('model', 'dataset'):
        raise ValueError(f"joints is {changed.joints!r}; it must be 'model' or 'dataset'.")
    return changed


def _nearest(name: str, known) -> str:
    match = difflib.get_close_matches(name, known, n=1)
    return f' (did you mean {match[0]!r}?)' if match else ''
