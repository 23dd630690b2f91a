"""Named protocols: what exactly a number was measured on, so that it can never be quoted without it.

Sources: ARCTIC p1 validation and FreiHAND server as in the HMR-Adapter paper (section 4) and the datasets' own scripts; whole
bodies as SMPLer-X and SMPLest-X evaluate them.
"""
import difflib
from abc import ABC, abstractmethod
from dataclasses import dataclass, fields, replace

# What the scorers can measure. Of hands: one value a row, averaged by side. Of a set: one value for all rows.
HAND_MEASURES = ('pve', 'pa_pve', 'mpjpe', 'pa_mpjpe', 'wrist_deg')
SET_MEASURES = ('freihand_server',)
BODY_MEASURES = ('pve', 'pa_pve', 'mpjpe', 'pa_mpjpe', 'mrrpe', 'wrist_deg')


@dataclass(frozen=True)
class Protocol(ABC):
    """One way to score. `id` is what is printed beside every number; dataset, split, views, stride: which samples."""
    name: str
    dataset: str
    split: str
    views: str = 'all'
    stride: int = 1

    known_measures = ()

    @property
    def id(self) -> str:
        return f'{self.name}[{self.dataset} {self.split}, views {self.views}, stride {self.stride}, {self.details}]'

    @property
    @abstractmethod
    def details(self) -> str:
        """How the samples are compared."""

    def on(self, dataset_meta: dict | None) -> 'Protocol':
        """The protocol as it was really run: where the dataset says another split, views, stride or truth than the protocol,
        its values are taken and the name gets a star, since the number is then not the protocol's."""
        actual = run_facts(dataset_meta)
        if all(getattr(self, key) == value for key, value in actual.items()):
            return self
        return replace(self, **actual, name=self.name.rstrip('*') + '*')

    def check(self) -> None:
        """ValueError for a field whose value means nothing."""
        for measure in self.measures:
            if measure not in self.known_measures:
                raise ValueError(f'measure {measure!r} is unknown; measures are {self.known_measures}.')


@dataclass(frozen=True)
class HandProtocol(Protocol):
    """One way to score hands.

    alignment: what `pve` and `mpjpe` remove. joints: 'model' takes the 21 joints of the body model for the truth (16 regressed,
    5 tip vertices), 'dataset' the stored ones. truth: the mesh that the prediction is compared with. measures: names in
    HAND_MEASURES and SET_MEASURES.
    """
    alignment: str = 'wrist'
    joints: str = 'model'
    truth: str = 'MANO of the annotation'
    measures: tuple[str, ...] = HAND_MEASURES

    known_measures = HAND_MEASURES + SET_MEASURES

    @property
    def details(self) -> str:
        return f'align {self.alignment}, joints {self.joints} HAND21, truth {self.truth}'

    def check(self) -> None:
        super().check()
        if self.joints not in ('model', 'dataset'):
            raise ValueError(f"joints is {self.joints!r}; it must be 'model' or 'dataset'.")


@dataclass(frozen=True)
class BodyProtocol(Protocol):
    """One way to score whole bodies. Joints are regressed from both meshes, never read from a dataset.

    truth: the mesh that the prediction is compared with; for ARCTIC 'template' (gendered model, the subject's scan) or
    'neutral' (neutral model, the stored pose). topology: of the true mesh, 'SMPL-X' or 'SMPL'. sight: 'all' true points
    count, or 'image', those that project into it. measures: names in BODY_MEASURES.
    """
    truth: str = 'SMPL-X mesh of the annotation'
    topology: str = 'SMPL-X'
    sight: str = 'all'
    measures: tuple[str, ...] = BODY_MEASURES

    known_measures = BODY_MEASURES

    @property
    def details(self) -> str:
        return f'{_BODY_DETAILS[self.topology]}, points {_SIGHT[self.sight]}, truth {self.truth}'

    def check(self) -> None:
        super().check()
        for field, known in (('topology', _BODY_DETAILS), ('sight', _SIGHT)):
            if getattr(self, field) not in known:
                raise ValueError(f'{field} is {getattr(self, field)!r}; it must be one of {sorted(known)}.')


@dataclass(frozen=True)
class KeypointProtocol(Protocol):
    """One way to score projected joints against marked ones, as COCO-WholeBody does: object keypoint similarity by its sigmas,
    average precision and recall over thresholds 0.5 .. 0.95, persons cut out by their annotated boxes, all with score 1.

    images: 'all' of the annotation file count, so that a person without a prediction is a miss, or 'given', those that the
    samples are of.
    """
    images: str = 'all'
    measures: tuple[str, ...] = ('ap', 'ar')

    known_measures = ('ap', 'ar')

    @property
    def details(self) -> str:
        return f'OKS of 133 projected joints, annotated boxes, score 1, images {self.images}'

    def check(self) -> None:
        super().check()
        if self.images not in ('all', 'given'):
            raise ValueError(f"images is {self.images!r}; it must be 'all' or 'given'.")


_SIGHT = {'all': 'all', 'image': 'whose truth projects into the image'}
_BODY_DETAILS = {
    'SMPL-X': 'align body pelvis, hands wrist, face neck, joints J14 and HAND21 regressed',
    'SMPL': "14 joints of each topology's own regressor, align each pelvis, PVE and mapped joints after root alignment and "
            'smplx2smpl'}


def run_facts(dataset_meta: dict | None) -> dict[str, str | int]:
    """What a dataset's metainfo says about the samples that were run: some of split ('p1 val'), views ('1-8'), stride,
    truth ('template')."""
    meta = dataset_meta or {}
    facts = {key: _plain(meta[key]) for key in ('views', 'stride', 'truth') if meta.get(key) is not None}
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
    HandProtocol('arctic-p1-val', 'ARCTIC', 'p1 val', views='1-8', stride=10),
    HandProtocol('open-p1-val', 'open ARCTIC', 'p1 val', views='1-8'),
    HandProtocol('freihand-eval', 'FreiHAND', 'evaluation', alignment='none (raw) and Procrustes with reflection',
                 joints='dataset', truth='MANO of the server',
                 measures=('freihand_server', 'mpjpe', 'pa_mpjpe', 'pve', 'pa_pve')),
    HandProtocol('hands', 'any', 'given samples'),
    BodyProtocol('arctic-body-p1-val', 'ARCTIC', 'p1 val', views='1-8', stride=10, truth='template'),
    BodyProtocol('open-body-p1-val', 'open ARCTIC', 'p1 val', views='1-8', truth='template'),
    BodyProtocol('ehf', 'EHF', 'test', truth='NN_align.ply'),
    BodyProtocol('3dpw', '3DPW', 'test', truth='SMPL mesh of the annotation', topology='SMPL',
                 measures=('pve', 'pa_pve', 'mpjpe', 'pa_mpjpe')),
    BodyProtocol('ubody', 'UBody', 'intra-scene test', stride=100, sight='image'),
    BodyProtocol('agora-val', 'AGORA', 'validation', truth='stored SMPL-X mesh'),
    BodyProtocol('bodies', 'any', 'given samples'),
    KeypointProtocol('coco-wholebody-val', 'COCO-WholeBody', 'val'))}


def get_protocol(protocol: str | dict | Protocol, kind: type[Protocol] = Protocol) -> Protocol:
    """A protocol by name, or by a dict of its fields (`name` of a known one, the others override it).

    Raises:
        ValueError: for an unknown name or field, where the nearest right one is named, or one of another kind than `kind`.
    """
    if isinstance(protocol, Protocol):
        return protocol
    changes = {} if isinstance(protocol, str) else dict(protocol)
    name = protocol if isinstance(protocol, str) else changes.pop('name', None)
    fitting = {key: known for key, known in PROTOCOLS.items() if isinstance(known, kind)}
    if name not in fitting:
        problem = f'is not for {_SUBJECTS[kind]}' if name in PROTOCOLS else f'is unknown{_nearest(str(name), fitting)}'
        raise ValueError(f'protocol {name!r} {problem}; known are {sorted(fitting)}.')
    known = {field.name for field in fields(fitting[name])}
    for key in changes:
        if key not in known:
            raise ValueError(f'protocol field {key!r} is unknown{_nearest(key, known)}; fields are {sorted(known)}.')
    changed = replace(fitting[name], **changes)
    changed.check()
    return changed


_SUBJECTS = {Protocol: 'anything', HandProtocol: 'hands', BodyProtocol: 'whole bodies',
             KeypointProtocol: 'marked joints'}


def _nearest(name: str, known) -> str:
    match = difflib.get_close_matches(name, known, n=1)
    return f' (did you mean {match[0]!r}?)' if match else ''
