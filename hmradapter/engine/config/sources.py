"""The text of a config and of its bases: which names they assign, which they read, and overriding a name where it is assigned.

MMEngine applies --cfg-options after a config was executed: an option on `data_root` changes that name, while every dataset
has long copied the old value. Options on such names are written into a copy of the sources instead, behind the assignment.
"""
import ast
from dataclasses import dataclass, replace
from pathlib import Path

from .errors import ConfigError


@dataclass
class ConfigSource:
    """One file of the chain. `assigned`: name -> the statements; `read`: names that any expression reads."""
    path: Path
    text: str
    bases: list[Path]
    packages: list[str]  # bases of other installed packages, 'mmpose::...': read by MMEngine, not by us
    assigned: dict[str, list[ast.stmt]]
    read: set[str]


def read_chain(path: str | Path, below: tuple[Path, ...] = ()) -> list[ConfigSource]:
    """A config's sources, bases first. ConfigError for one that is missing, not Python, or its own base."""
    path = Path(path).resolve()
    if path in below:
        raise ConfigError(str(below[0]), [f'_base_ runs in a circle: {" -> ".join(p.name for p in (*below, path))}.'])
    if not path.is_file():
        named_by = f', a _base_ of {below[-1]},' if below else ''
        raise ConfigError(str(below[0] if below else path), [f'{path}{named_by} does not exist.'])
    text = path.read_text()
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        raise ConfigError(str(path), [f'line {error.lineno}: {error.msg}.']) from error
    source = _source(path, text, tree)
    return [*(s for base in source.bases for s in read_chain(base, (*below, path))), source]


def _source(path: Path, text: str, tree: ast.Module) -> ConfigSource:
    assigned: dict[str, list[ast.stmt]] = {}
    read, bases = set(), []
    named: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            read.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == '_base_':
            read.add(node.attr)  # `_base_.data_root` in a child
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    assigned.setdefault(target.id, []).append(node)
    for statement in assigned.get('_base_', [])[:1]:
        value = ast.literal_eval(statement.value)
        named = [value] if isinstance(value, str) else list(value)
        bases = [(path.parent / base).resolve() for base in named if '::' not in base]
    return ConfigSource(path, text, bases, [base for base in named if '::' in base], assigned, read)


def on_another_base(chain: list[ConfigSource], base: str | Path) -> list[ConfigSource]:
    """The chain of the same last file with `base`, a path, as its only base. ConfigError where it has none to exchange."""
    last = chain[-1]
    if '_base_' not in last.assigned:
        raise ConfigError(str(last.path), ['it has no _base_ that the option could exchange.'])
    return [*read_chain(base, (last.path,)), replace(last, bases=[Path(base).resolve()], packages=[])]


def write_overridden(chain: list[ConfigSource], overrides: dict[tuple, object], folder: Path) -> Path:
    """Copy a chain into `folder` with `overrides` applied behind each assignment; returns the copy of the last file.

    Args:
        overrides: (name, key, ...) -> value; keys lead into the name's dicts and lists.
    """
    copies: dict[Path, str] = {}
    for source in chain:  # bases first, so that their copies have names already
        copies[source.path] = str(folder / str(len(copies)) / source.path.name)
        Path(copies[source.path]).parent.mkdir(exist_ok=True)
        Path(copies[source.path]).write_text(_with_overrides(source, overrides, copies))
    return Path(copies[chain[-1].path])


def _with_overrides(source: ConfigSource, overrides: dict[tuple, object], copies: dict[Path, str]) -> str:
    lines = source.text.splitlines()
    for statement in source.assigned.get('_base_', [])[:1]:
        extent = slice(statement.lineno - 1, statement.end_lineno)
        bases = [copies[base] for base in source.bases] + source.packages
        lines[extent] = [f'_base_ = {bases!r}'] + [''] * (statement.end_lineno - statement.lineno)  # line numbers stay
    added: dict[int, list[str]] = {}
    for (name, *keys), value in overrides.items():
        for statement in source.assigned.get(name, []):
            target = name + ''.join(f'[{key!r}]' for key in keys)
            added.setdefault(statement.end_lineno, []).append(f'{" " * statement.col_offset}{target} = {value!r}')
    return '\n'.join(text for number, line in enumerate(lines, 1) for text in (line, *added.get(number, []))) + '\n'
