"""JSON whose damage is named."""
import json

from .errors import DamagedFileError


def load_json(path, expected: str = 'a JSON object') -> dict:
    """The object in a JSON file; DamagedFileError where it is none."""
    with open(path, 'rb') as file:
        raw = file.read()
    try:
        content = json.loads(raw)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DamagedFileError(path, expected, error) from error
    if not isinstance(content, dict):
        raise DamagedFileError(path, expected, f'it holds a {type(content).__name__}')
    return content
