"""What every data set says of itself, and the one road from its files to a prepared store.

A source is one thin file: where things lie, what they mean, what is left out and why. Reading, posing, projecting, counting,
writing and resuming are shared (`fileio`, `labels`, `smplx_labels`, `store`).
"""
import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np

from hmradapter.fileio import sha256_file

from ..store.prepared import PreparedStore, check_same, is_complete, read_manifest, report
from ..store.writer import Part, build_store


class Expected(NamedTuple):
    """A file or folder of a release: its place under data_root, what it is, whether the source can do without.

    In a place, `{split}` stands for the split, `<name>`, `%05d` and a capital letter repeated (`sXX`) for anything, `**` for
    any folders, `{a,b}` for either; what is in parentheses is a remark, ` or ` parts places of which one will do, and ` ..`
    ends an example whose numbers stand for any.
    """
    place: str
    what: str
    optional: bool = False


class SplitNotAvailableError(ValueError):
    """The data set has this split, but these options say nothing about it: whoever asked for all splits goes on without."""


class Source(ABC):
    """A data set on disk, seen as records. Subclasses fill in the class attributes, `units`, `convert` and what they depend on.

    A source travels to worker processes: it keeps what it was given, and reads its files in `cached_property`s, which stay
    behind.

    Args:
        data_root: folder of the release.
        split: one of `splits`.
        body_model_root: folder of the body models, for sources that need them.
        prepared_dir: where prepared records go, `<data_root>/prepared` by default.
        verify_images: decode every image while preparing, not just look at its head and end.

    Raises:
        ValueError: a split that the data set does not have.
        SplitNotAvailableError: one that cannot be had with these options.
    """
    name: ClassVar[str]                   # in record.DATASETS and on the command line
    title: ClassVar[str]
    licence: ClassVar[str]
    site: ClassVar[str]                   # where it comes from, and how
    splits: ClassVar[tuple[str, ...]]
    gives: ClassVar[tuple[str, ...]]      # of 'hands', 'persons'
    expected: ClassVar[tuple[Expected, ...]]
    body_models: ClassVar[tuple[str, ...]] = ()  # places under body_model_root
    trains: ClassVar[bool] = True         # whether there are labels to learn from
    release: ClassVar[str] = ''           # version that is read, where the data set has several
    converter: ClassVar[int] = 1          # count up when the same files would give other records

    def __init__(self, data_root, split: str, body_model_root=None, prepared_dir=None, verify_images: bool = False):
        if split not in self.splits:
            raise ValueError(f'split is {split!r}: {self.title} has {self.splits}.')
        if self.body_models and body_model_root is None:
            raise ValueError(f'{self.title} needs body_model_root, a folder with {", ".join(self.body_models)}: '
                             'data/README.md says where the files come from.')
        self.data_root, self.split, self.verify_images = Path(data_root), split, bool(verify_images)
        self.body_model_root = None if body_model_root is None else Path(body_model_root)
        self.prepared_dir = Path(prepared_dir) if prepared_dir else self.data_root / 'prepared'

    def __getstate__(self) -> dict:
        """Without what can be read again."""
        cached = {name for cls in type(self).__mro__ for name, value in vars(cls).items() if isinstance(value, cached_property)}
        return {name: value for name, value in self.__dict__.items() if name not in cached}

    # ---- what a data set says ------------------------------------------------------------------------------------------------
    @property
    @abstractmethod
    def units(self) -> Sequence[str]:
        """Names of the pieces that are converted one by one, in the order of their records: of a size that is worth resuming
        at, minutes at most. FileNotFoundError says which file is missing and where it comes from (`missing`)."""

    @abstractmethod
    def convert(self, unit: str) -> Part:
        """The records of one unit; deterministic. Whatever is left out or lacks a label is counted by reason."""

    @abstractmethod
    def fingerprint(self) -> dict:
        """What the records depend on beside the options: hashes of small files, `sampled_digest` of large ones."""

    @property
    def protocol(self) -> dict:
        """Options that decide which records there are and what they say; also the data set's metainfo."""
        return dict(split=self.split)

    def body_model_files(self) -> list[Path]:
        """The model files that the labels depend on."""
        return []

    @classmethod
    def expected_here(cls, split: str, options: dict) -> tuple[Expected, ...]:
        """`expected`, as far as this split with these options (the data set's `protocol`, or part of it) needs it."""
        return cls.expected

    def refuse(self, counts: dict) -> None:  # noqa: B027, most have nothing to say
        """Raise ValueError where the counts of all units (those of the manifest: records, dropped, ...) show that files were
        misread. Asked before a store is put in its place, but not about a taste."""

    def templates(self) -> np.ndarray | None:
        """Rest shapes (T, V, 3) metres that the records' `template` numbers."""
        return None

    def __call__(self, unit: str) -> Part:
        """`convert`, in a form that travels to worker processes."""
        return self.convert(unit)

    # ---- what all share ------------------------------------------------------------------------------------------------------
    @property
    def metainfo(self) -> dict:
        """Of MMEngine's data set."""
        return dict(dataset=self.name, **self.protocol)

    def missing(self, path: Path) -> FileNotFoundError:
        """The error to raise for a file that everything depends on."""
        layout = ''.join(f'\n  {entry.place}   {entry.what}{" (optional)" if entry.optional else ""}'
                         for entry in self.expected_here(self.split, self.protocol)).replace('{split}', self.split)
        return FileNotFoundError(f'{path} does not exist. data_root ({self.data_root}) must be a folder of {self.title} with'
                                 f'{layout}\nFrom: {self.site}. Licence: {self.licence}.')

    def about(self) -> dict:
        """All that the records depend on: what a store's manifest says, and what its name is a hash of."""
        models = {path.relative_to(self.body_model_root).as_posix(): sha256_file(path) for path in self.body_model_files()}
        return dict(dataset=self.name, licence=self.licence, release=self.release, converter=self.converter,
                    protocol=dict(self.protocol, verify_images=self.verify_images), body_models=models,
                    source=self.fingerprint())

    def prepare(self) -> PreparedStore:
        """The store of these options, reported; written to `<prepared_dir>/<name>-<split>-<hash>` where it is not there yet."""
        units, about = list(self.units), self.about()
        digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()
        folder = self.prepared_dir / f'{self.name}-{self.split}-{digest[:12]}'
        if is_complete(folder):
            store = PreparedStore(folder)
        else:
            store = build_store(folder, units, self, about, self.templates(), image_root=self.data_root, refuse=self.refuse)
        report(store)
        return store

    def prepare_at(self, folder, images: str = 'path', workers: int = 1, limit: int | None = None) -> PreparedStore:
        """The store of these options at `folder`, written unless it is there; see `store.writer.build_store`.

        Raises:
            StoreError: a store of other options is there; says what differs.
        """
        units, about = list(self.units), self.about()
        if is_complete(folder):
            check_same(read_manifest(folder), dict(about, units=units, images=images, limit=limit), folder)
        return build_store(folder, units, self, about, self.templates(), image_root=self.data_root, images=images,
                           workers=workers, limit=limit, refuse=self.refuse)


def checked_stride(stride: int, name: str = 'stride') -> int:
    """A whole number from 1 on."""
    if isinstance(stride, str) or not np.isscalar(stride) or int(stride) != stride or stride < 1:
        raise ValueError(f'{name} is {stride!r}, it must be a whole number, at least 1.')
    return int(stride)
