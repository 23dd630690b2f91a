"""What reading an untrusted file can fail with. Both are ValueErrors whose message names the file."""


class UnsafeFileError(ValueError):
    """The file asks for code outside the allow-list. Nothing of it was run."""

    def __init__(self, path, name: str, allowed: str):
        self.path, self.name = str(path), name
        super().__init__(f'{path} asks to load {name!r}, which is not on the allow-list ({allowed}). '
                         'Nothing in the file was run. Get the file again from its official source, or convert it there '
                         'to plain arrays (.npz) or .safetensors.')


class DamagedFileError(ValueError):
    """The file is truncated, corrupt or not of the expected format."""

    def __init__(self, path, expected: str, cause):
        self.path = str(path)
        super().__init__(f'{path} cannot be read as {expected}: {type(cause).__name__}: {cause}. '
                         'It is truncated, corrupt or of another format: fetch or write it again.'
                         if isinstance(cause, BaseException) else
                         f'{path} cannot be read as {expected}: {cause}.')
