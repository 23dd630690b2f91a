"""What reading an untrusted file can fail with. Both are ValueErrors whose message names the file."""


class FileError(ValueError):
    """Carries more than its message, and travels between processes all the same."""

    def __reduce__(self):
        return _again, (type(self), self.args, self.__dict__)


def _again(cls: type, args: tuple, state: dict) -> FileError:
    error = cls.__new__(cls, *args)  # not through __init__, which makes the message
    error.__dict__.update(state)
    return error


class UnsafeFileError(FileError):
    """The file asks for code outside the allow-list. Nothing of it was run."""

    def __init__(self, path, name: str, allowed: str):
        self.path, self.name = str(path), name
        super().__init__(f'{path} asks to load {name!r}, which is not on the allow-list ({allowed}). '
                         'Nothing in the file was run. Get the file again from its official source, or convert it there '
                         'to plain arrays (.npz) or .safetensors.')


class DamagedFileError(FileError):
    """The file is truncated, corrupt or not of the expected format."""

    def __init__(self, path, expected: str, cause):
        self.path = str(path)
        super().__init__(f'{path} cannot be read as {expected}: {type(cause).__name__}: {cause}. '
                         'It is truncated, corrupt or of another format: fetch or write it again.'
                         if isinstance(cause, BaseException) else
                         f'{path} cannot be read as {expected}: {cause}.')
