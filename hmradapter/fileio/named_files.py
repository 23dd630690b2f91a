"""Files as a command line names them."""
import os
from collections.abc import Iterable
from pathlib import Path


def named_files(arguments: Iterable[str]) -> dict[str, str]:
    """{name: path} of arguments NAME=PATH or PATH. Without a name a folder has its own, and a file its own less the suffix.

    Raises:
        ValueError: two have one name.
    """
    files: dict[str, str] = {}
    for argument in arguments:
        name, equals, path = argument.partition('=')
        if not equals or os.path.exists(argument):  # a path may hold an equals sign
            path = argument
            name = Path(os.path.abspath(path)).name if os.path.isdir(path) else Path(path).stem
        if name in files:
            raise ValueError(f'two files are called {name!r} ({files[name]} and {path}): give names, NAME=FILE.')
        files[name] = path
    return files
