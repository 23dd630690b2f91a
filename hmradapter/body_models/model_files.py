"""Reads SMPL-X, MANO and SMPL files (.npz, or .pkl with chumpy arrays) running nothing in them, and checks what they hold."""
from pathlib import Path

import numpy as np

from hmradapter.fileio.errors import DamagedFileError
from hmradapter.fileio.pickles import load_npz, load_pickle

BUILD_COMMAND = 'python tools/open_world/build_body_models.py'
OPEN_ROOT = 'data/body_models/open'
SOURCES = {'SMPL-X': 'https://smpl-x.is.tue.mpg.de (register, "SMPL-X v1.1")',
           'MANO': 'https://mano.is.tue.mpg.de (register, "Models & Code")',
           'SMPL': 'https://smpl.is.tue.mpg.de (register, "version 1.1.0"; rename basicmodel_*.pkl to SMPL_*.pkl)'}

# Keys and shapes; V vertices, F faces, K shape directions, as the file has them.
_COMMON = {'v_template': ('V', 3), 'shapedirs': ('V', 3, 'K'), 'f': ('F', 3)}
LAYOUTS = {
    'MANO': {**_COMMON, 'posedirs': ('V', 3, 135), 'J_regressor': (16, 'V'), 'weights': ('V', 16), 'kintree_table': (2, 16),
             'hands_mean': (45,)},
    'SMPL': {**_COMMON, 'posedirs': ('V', 3, 207), 'J_regressor': (24, 'V'), 'weights': ('V', 24), 'kintree_table': (2, 24)},
    'SMPL-X': {**_COMMON, 'posedirs': ('V', 3, 486), 'J_regressor': (55, 'V'), 'weights': ('V', 55), 'kintree_table': (2, 55),
               'hands_meanl': (45,), 'hands_meanr': (45,), 'lmk_faces_idx': (51,), 'lmk_bary_coords': (51, 3),
               'dynamic_lmk_faces_idx': (79, 17), 'dynamic_lmk_bary_coords': (79, 17, 3)}}


class BodyModelFileError(ValueError):
    """A body model file that is not what it should be: names the file, what is wrong, what was expected, where to get it."""

    def __init__(self, path, kind: str, problem: str):
        super().__init__(f'{path}: {problem}. Expected a {kind} file with {_describe(kind)}. {_where_from(kind)}')


def find_model_file(model_path, kind: str, stem: str) -> Path:
    """The file itself, or <stem>.npz / .pkl in the folder or its smplx/, mano/ subfolder; FileNotFoundError says where from."""
    path = Path(model_path)
    if path.is_file():
        return path
    tried = [path]
    if path.is_dir():
        folder = kind.replace('-', '').lower()
        tried = [place / f'{stem}{suffix}' for place in (path, path / folder) for suffix in ('.npz', '.pkl')]
        for candidate in tried:
            if candidate.is_file():
                return candidate
    raise FileNotFoundError(f'No {kind} model at {path} (looked for {", ".join(map(str, tried))}). {_where_from(kind)}')


def read_model_file(path: Path, kind: str) -> dict[str, np.ndarray]:
    """All arrays of a model file; those of the layout are checked for presence, shape, finiteness and index range."""
    try:
        content = load_npz(path) if path.suffix == '.npz' else load_pickle(path)
    except DamagedFileError as error:
        raise BodyModelFileError(path, kind, str(error)) from error
    if not isinstance(content, dict):
        raise BodyModelFileError(path, kind, f'it holds a {type(content).__name__}, not named arrays')
    missing = [name for name in LAYOUTS[kind] if name not in content]
    if missing:
        raise BodyModelFileError(path, kind, f'it lacks {missing} and has {sorted(map(str, content))}')
    arrays = {name: np.asarray(content[name]) for name in content}
    _check_shapes(path, kind, arrays)
    _check_values(path, kind, arrays)
    return arrays


def require_open_body_models(root=OPEN_ROOT) -> Path:
    """Folder of the open body models; FileNotFoundError with the build command where they are absent or unfinished."""
    from hmradapter.body_models.open_model.build import missing_files  # the builder is needed by nobody else at run time
    missing = missing_files(Path(root))
    if missing:
        raise FileNotFoundError(f'No complete open body models in {root}: {", ".join(missing)} missing or of an older version. '
                                f'Build them (about half a minute): {BUILD_COMMAND} --out {root}')
    return Path(root)


def _check_shapes(path, kind, arrays) -> None:
    sizes = {'V': np.shape(arrays['v_template'])[:1], 'F': np.shape(arrays['f'])[:1], 'K': np.shape(arrays['shapedirs'])[-1:]}
    for name, layout in LAYOUTS[kind].items():
        wanted = tuple(sizes[n][0] if n in sizes and sizes[n] else n for n in layout)
        array = arrays[name]
        if array.shape != wanted:
            raise BodyModelFileError(path, kind, f'{name} has the shape {array.shape} instead of {wanted}')
        if array.dtype.kind not in 'fiub':
            raise BodyModelFileError(path, kind, f'{name} has the dtype {array.dtype}, which is not numeric')


def _check_values(path, kind, arrays) -> None:
    for name in LAYOUTS[kind]:
        if arrays[name].dtype.kind == 'f' and not np.isfinite(arrays[name]).all():
            raise BodyModelFileError(path, kind, f'{name} has values that are not finite')
    limits = {'f': len(arrays['v_template']), 'lmk_faces_idx': len(arrays['f']), 'dynamic_lmk_faces_idx': len(arrays['f']),
              'tip_vertex_ids': len(arrays['v_template']), 'extra_joint_vertex_ids': len(arrays['v_template'])}
    for name, limit in limits.items():
        if name in arrays and (arrays[name].min() < 0 or arrays[name].max() >= limit):
            raise BodyModelFileError(path, kind, f'{name} points outside of 0 .. {limit - 1}')
    parents = arrays['kintree_table'][0][1:].astype(np.int64)
    if (parents < 0).any() or (parents >= np.arange(1, len(parents) + 1)).any():
        raise BodyModelFileError(path, kind, 'kintree_table has a joint before its parent')


def _describe(kind: str) -> str:
    return ', '.join(f'{name} ({", ".join(map(str, shape))})' for name, shape in LAYOUTS[kind].items())


def _where_from(kind: str) -> str:
    return (f'The licensed file comes from {SOURCES[kind]}; the open one is built by `{BUILD_COMMAND}`, '
            f'which writes to {OPEN_ROOT}.')
