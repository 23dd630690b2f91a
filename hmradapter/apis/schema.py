"""The JSON Schema (draft 2020-12) of prediction files, from the same tables that write and read them.

    python -m hmradapter.apis.schema docs/schemas     writes it for hands and for persons
"""
import json
import sys
from pathlib import Path

from hmradapter.apis.prediction_files import LAYOUTS, NEEDED, Layout
from hmradapter.fileio import atomic_write

_FACTS = dict(hand=dict(enum=['right', 'left']), guided=dict(type='boolean'), side_given=dict(type='boolean'),
              flags=dict(type='array', items=dict(type='string')))
_KNOWN = dict(path=dict(type='string'), sha256=dict(type='string', pattern='^[0-9a-f]{64}$'),
              size=dict(type='array', items=dict(type='integer', minimum=1), minItems=2, maxItems=2),
              source=dict(enum=['given', 'assumed']))


def json_schema(layout: Layout) -> dict:
    """What a file of this layout looks like. Fields that only say where a prediction came from are not in it, and allowed."""
    record = dict({name: _FACTS[name] for name in layout.facts}, vertices_sha256=_KNOWN['sha256'],
                  **{name: _array(shape) for name, shape in layout.arrays.items()},
                  **{f'{name}_axis_angle': _array((*layout.arrays[name][:-2], 3)) for name in layout.rotations})
    parts = {part: _object({key: _KNOWN.get(key, _array((2,))) for key in keys}) for part, keys in NEEDED.items()}
    top = dict(schema=dict(const=layout.schema), version=dict(const=layout.version), **parts,
               **{layout.plural: dict(type='array', items=_object(record))})
    return {'$schema': 'https://json-schema.org/draft/2020-12/schema',
            'title': f'{layout.schema} version {layout.version}', **_object(top)}


def write_schemas(folder: str | Path) -> list[Path]:
    """NAME-VERSION.json of every layout in `folder`."""
    paths = []
    for layout in LAYOUTS.values():
        paths.append(Path(folder) / f'{layout.plural}-{layout.version}.json')
        with atomic_write(paths[-1], 'w') as file:
            file.write(json.dumps(json_schema(layout), indent=1) + '\n')
    return paths


def _object(properties: dict) -> dict:
    return dict(type='object', properties=properties, required=list(properties))


def _array(shape: tuple[int, ...]) -> dict:
    schema = dict(type='number')
    for size in reversed(shape):
        schema = dict(type='array', items=schema, minItems=size, maxItems=size)
    return schema


if __name__ == '__main__':
    for path in write_schemas(sys.argv[1]):
        print(path)
