"""Maps between meshes: which vertices of SMPL-X are a MANO hand's or the face's, joints and SMPL's mesh from SMPL-X's."""
from pathlib import Path

import numpy as np

from hmradapter.body_models.model_files import BUILD_COMMAND, OPEN_ROOT, SOURCES
from hmradapter.fileio.pickles import load_object_npy, load_pickle

HAND_FILE, FACE_FILE, J14_FILE, SMPL_FILE = FILES = (
    'MANO_SMPLX_vertex_ids.pkl', 'SMPL-X__FLAME_vertex_ids.npy', 'SMPLX_to_J14.pkl', 'smplx2smpl.pkl')
_SOURCES = {HAND_FILE: SOURCES['SMPL-X'], FACE_FILE: SOURCES['SMPL-X'],
            J14_FILE: 'https://github.com/vchoutas/expose (the data that its README links)',
            SMPL_FILE: "https://github.com/pixelite1201/BEDLAM (the training code's data)"}
COMMON_JOINTS = 14


def find_map_file(path, name: str) -> Path:
    """`path` itself, or the file `name` in the folder `path` or its smplx/; FileNotFoundError says where to get it."""
    path = Path(path)
    tried = [path] if not path.is_dir() else [path / name, path / 'smplx' / name]
    for candidate in tried:
        if candidate.is_file():
            return candidate
    raise FileNotFoundError(f'No {name} at {path} (looked for {", ".join(map(str, tried))}). The licensed one comes from '
                            f'{_SOURCES[name]}; the open one is built by `{BUILD_COMMAND}`, which writes to {OPEN_ROOT}.')


def load_hand_vertex_ids(path) -> dict[str, np.ndarray]:
    """{'left': (V_hand,), 'right': (V_hand,)}: SMPL-X vertex of each MANO vertex. path: that file or its folder."""
    file = find_map_file(path, HAND_FILE)
    content = load_pickle(file)
    found = {}
    for side in ('left', 'right'):
        ids = content.get(f'{side}_hand') if isinstance(content, dict) else None
        if not isinstance(ids, np.ndarray) or ids.ndim != 1 or ids.dtype.kind not in 'iu':
            raise ValueError(f'{file} should hold left_hand and right_hand, integer SMPL-X vertex ids (V_hand,); '
                             f'{side}_hand is {getattr(ids, "shape", type(ids).__name__)}. Get or build the file again.')
        found[side] = ids.astype(np.int64)
    return found


def load_face_vertex_ids(path) -> np.ndarray:
    """SMPL-X vertices (V_face,) of the head that FLAME has, which is the field's "face". path: that file or its folder."""
    file = find_map_file(path, FACE_FILE)
    ids = load_object_npy(file)
    if not isinstance(ids, np.ndarray) or ids.ndim != 1 or ids.dtype.kind not in 'iu':
        raise ValueError(f'{file} should hold integer SMPL-X vertex ids (V_face,), but it holds {_kind(ids)}. '
                         'Get or build the file again.')
    return ids.astype(np.int64)


def load_common_joints(path) -> np.ndarray:
    """Regressor (14, V) of the joints that body data sets share (ankles to head), from SMPL-X's vertices."""
    return _matrix(find_map_file(path, J14_FILE), load_pickle, rows=COMMON_JOINTS)


def load_smpl_from_smplx(path) -> np.ndarray:
    """(V_smpl, V_smplx): SMPL's vertices from SMPL-X's."""
    return _matrix(find_map_file(path, SMPL_FILE), lambda file: _field(load_pickle(file), 'matrix', file))


def _field(content, name: str, file: Path):
    if not isinstance(content, dict) or name not in content:
        raise ValueError(f'{file} should hold a dict with {name!r}, but it holds {_kind(content)}. Get or build it again.')
    return content[name]


def _matrix(file: Path, load, rows: int | None = None) -> np.ndarray:
    matrix = load(file)
    is_matrix = isinstance(matrix, np.ndarray) and matrix.ndim == 2 and matrix.dtype.kind == 'f'
    if not is_matrix or len(matrix) != (rows or len(matrix)):
        raise ValueError(f'{file} should hold a matrix of floats ({rows or "V_smpl"}, V_smplx), but it holds {_kind(matrix)}. '
                         'Get or build the file again.')
    return matrix


def _kind(content) -> str:
    if isinstance(content, np.ndarray):
        return f'an array of shape {content.shape} and dtype {content.dtype}'
    return f'a dict of {sorted(map(str, content))}' if isinstance(content, dict) else f'a {type(content).__name__}'
