"""Files as a command line names them."""
from collections.abc import Iterable
from pathlib import Path


def named_files(arguments: Iterable[str]) -> dict[str, str]:
    """{name: path} of arguments NAME=PATH or PATH; without a name a file has its own, less the suffix, and so has a folder.

    Raises:
        ValueError: two have one name.
    """
    files: dict[str, str] = {}
    for argument in arguments:
        name, equals, path = argument.partition('=')
        if not equals:
            path = argument
            name = Path(path).resolve().name if Path(path).is_dir() else Path(path).stem
        if name in files:
            raise ValueError(f'two files are called {name!r} ({files[name]} and {path}): give names, NAME=FILE.')
        files[name] = path
    return files
