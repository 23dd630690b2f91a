"""The data sets that can be read, by name: what each wants, what of it is there, and the source with these options."""
import difflib
import inspect
import itertools
import re
import types
import typing
from collections.abc import Iterator, Sequence
from pathlib import Path

from hmradapter.registry import SOURCES

from .record import DATASETS
from .sources.source import Expected, Source

COMMON = ('self', 'data_root', 'split', 'body_model_root', 'prepared_dir', 'verify_images')  # not options of a data set
KINDS = {bool: 'True or False', int: 'a whole number', float: 'a number', str: 'a word', types.NoneType: 'None',
         dict: 'given entry by entry, {name}.ENTRY=VALUE'}
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
                 verify_images: bool = False, prepared_dir=None) -> Source:
    """The source of one split; ValueError for an option or a split that it does not have, with the nearest one, and for a
    value that an option cannot have. `prepared_dir` is where prepared records go."""
    check_split(cls, split)
    options = checked_options(cls, options or {})
    if 'body_model_root' in parameters(cls):
        options['body_model_root'] = body_model_root
    try:
        return cls(src, split=split, verify_images=verify_images, prepared_dir=prepared_dir, **options)
    except TypeError as error:  # of values: the names are known
        given = ', '.join(f'{name}={value!r}' for name, value in options.items() if name != 'body_model_root')
        raise ValueError(f'{cls.title} cannot be read with {given or "these options"}: {error}.') from error


def check_split(cls: type[Source], split: str) -> None:
    """ValueError, with the nearest one, for a split that the data set does not have."""
    if split not in cls.splits:
        raise ValueError(f'{split!r} is not a split of {cls.title}{_nearest(split, cls.splits)}. '
                         f'There are {", ".join(cls.splits)}.')


def checked_options(cls: type[Source], options: dict) -> dict:
    """Options as the source takes them: one value of a list is a list of it, `a.b=c` is the entry b of the option a.

    Raises:
        ValueError: an option that there is not, with the nearest one; a value of another kind than the option's.
    """
    known, checked = parameters(cls), {}
    names = [name for name in known if name not in COMMON]
    for given, value in options.items():
        name, _, entry = given.partition('.')
        if name not in names:
            has = f'It has {", ".join(sorted(names))}.' if names else 'It has none.'
            raise ValueError(f'{name!r} is not an option of {cls.title}{_nearest(name, names)}. {has}')
        kinds = _kinds(known[name].annotation)
        if entry:
            if dict not in kinds:
                raise ValueError(f'{given!r}: the option {name!r} of {cls.title} has no entries, give {name}=VALUE.')
            checked.setdefault(name, {})[entry] = value
        else:
            checked[name] = _as_kind(name, value, kinds)
    return checked


def _kinds(annotation) -> tuple[type, ...]:
    """Types of an option: those of `Sequence[int] | None` are (Sequence, NoneType)."""
    union = typing.get_origin(annotation) in (types.UnionType, typing.Union)
    return tuple(typing.get_origin(kind) or kind for kind in (typing.get_args(annotation) if union else (annotation,)))


def _as_kind(name: str, value: object, kinds: tuple[type, ...]) -> object:
    fits = {bool: lambda v: isinstance(v, bool) or v in (0, 1) and isinstance(v, int),
            int: lambda v: isinstance(v, int) and not isinstance(v, bool),
            float: lambda v: isinstance(v, int | float) and not isinstance(v, bool),
            str: lambda v: isinstance(v, str), dict: lambda v: isinstance(v, dict), type(None): lambda v: v is None}
    if Sequence in kinds and not isinstance(value, list | tuple | types.NoneType):
        return (value,)
    if str in kinds and isinstance(value, int | float) and not isinstance(value, bool):  # a folder called 2017, say
        return str(value)
    if set(kinds) <= set(fits) and not any(fits[kind](value) for kind in kinds):
        wanted = ' or '.join(KINDS[kind].format(name=name) for kind in kinds)
        raise ValueError(f'{name} is {value!r}, it must be {wanted}.')
    return value


def options_of(cls: type[Source]) -> list[str]:
    """What a source takes beside what all take."""
    return [name for name in parameters(cls) if name not in COMMON]


def parameters(cls: type[Source]) -> dict[str, inspect.Parameter]:
    """What a source and its bases may be given, by name; the source's own before those of its bases."""
    signatures = [inspect.signature(vars(base)['__init__']) for base in cls.__mro__[:-1] if '__init__' in vars(base)]
    found: dict[str, inspect.Parameter] = {}
    for parameter in (p for signature in signatures for p in signature.parameters.values()):
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            found.setdefault(parameter.name, parameter)
    return found


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
