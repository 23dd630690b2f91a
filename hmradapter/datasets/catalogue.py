"""The data sets that can be read, by name: what each wants, what of it is there, and the source with these options."""
import difflib
import inspect
import itertools
import re
from collections.abc import Iterator
from pathlib import Path

from hmradapter.registry import SOURCES

from .record import DATASETS
from .sources.source import Expected, Source

COMMON = ('self', 'data_root', 'split', 'body_model_root', 'prepared_dir', 'verify_images')  # not options of a data set
_ANYTHING = re.compile(r'<[^>]*>|%\d*d|([A-Z])\1+')


def source_classes() -> dict[str, type[Source]]:
    """Every source by its name, in the order of `record.DATASETS`."""
    SOURCES.import_from_location()
    found = [cls for cls in SOURCES.module_dict.values() if inspect.isclass(cls) and issubclass(cls, Source)]
    order = {name: i for i, name in enumerate(DATASETS)}
    return {cls.name: cls for cls in sorted(found, key=lambda cls: (order.get(cls.name, len(order)), cls.name))}


def source_class(name: str) -> type[Source]:
    """The source of this name; ValueError with the nearest one."""
    classes = source_classes()
    if name not in classes:
        raise ValueError(f'{name!r} is not a data set{_nearest(name, classes)}. There are {", ".join(classes)}.')
    return classes[name]


def build_source(cls: type[Source], src, split: str, body_model_root=None, options: dict | None = None,
                 verify_images: bool = False) -> Source:
    """The source of one split; ValueError for an option or a split that it does not have, with the nearest one."""
    options, known = dict(options or {}), options_of(cls)
    for name in options:
        if name not in known:
            has = f'It has {", ".join(sorted(known))}.' if known else 'It has none.'
            raise ValueError(f'{name!r} is not an option of {cls.title}{_nearest(name, known)}. {has}')
    if split not in cls.splits:
        raise ValueError(f'{split!r} is not a split of {cls.title}{_nearest(split, cls.splits)}. '
                         f'There are {", ".join(cls.splits)}.')
    if 'body_model_root' in parameters(cls):
        options['body_model_root'] = body_model_root
    return cls(src, split=split, verify_images=verify_images, **options)


def options_of(cls: type[Source]) -> list[str]:
    """What a source takes beside what all take."""
    return [name for name in parameters(cls) if name not in COMMON]


def parameters(cls: type[Source]) -> list[str]:
    """Names of what a source and its bases may be given."""
    signatures = [inspect.signature(vars(base)['__init__']) for base in cls.__mro__[:-1] if '__init__' in vars(base)]
    return list(dict.fromkeys(p.name for signature in signatures for p in signature.parameters.values()
                              if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)))


def is_there(root, entry: Expected, split: str) -> bool:
    """Whether something lies where a release has this file or folder."""
    return any(next(Path(root).glob(pattern), None) is not None for pattern in _patterns(entry.place, split))


def _patterns(place: str, split: str) -> Iterator[str]:
    """Glob patterns of a place, as `Expected` explains them."""
    place = re.sub(r'\s*\([^)]*\)', '', place).replace('{split}', split)
    if place.endswith(' ..'):
        place = re.sub(r'\d+', '*', place.removesuffix(' ..'))
    for one in place.split(' or '):
        pieces = re.split(r'\{([^}]*)\}', _ANYTHING.sub('*', one.strip()))
        choices = [piece.split(',') if i % 2 else [piece] for i, piece in enumerate(pieces)]
        yield from map(''.join, itertools.product(*choices))


def _nearest(name: str, known) -> str:
    near = difflib.get_close_matches(name, list(known), 1)
    return f'; did you mean {near[0]!r}?' if near else ''
