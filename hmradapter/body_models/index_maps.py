"""Which vertices of SMPL-X are a MANO hand's."""
from pathlib import Path

import numpy as np

from hmradapter.body_models.model_files import BUILD_COMMAND, OPEN_ROOT, SOURCES
from hmradapter.fileio.pickles import load_pickle

FILE_NAME = 'MANO_SMPLX_vertex_ids.pkl'


def load_hand_vertex_ids(path) -> dict[str, np.ndarray]:
    """{'left': (V_hand,), 'right': (V_hand,)}: SMPL-X vertex of each MANO vertex. path: that file or its folder."""
    path = Path(path)
    file = path / FILE_NAME if path.is_dir() else path
    if not file.is_file():
        raise FileNotFoundError(f'No {FILE_NAME} at {path}. The licensed one comes from {SOURCES["SMPL-X"]}; '
                                f'the open one is built by `{BUILD_COMMAND}`, which writes to {OPEN_ROOT}.')
    content = load_pickle(file)
    found = {}
    for side in ('left', 'right'):
        ids = content.get(f'{side}_hand') if isinstance(content, dict) else None
        if not isinstance(ids, np.ndarray) or ids.ndim != 1 or ids.dtype.kind not in 'iu':
            raise ValueError(f'{file} should hold left_hand and right_hand, integer SMPL-X vertex ids (V_hand,); '
                             f'{side}_hand is {getattr(ids, "shape", type(ids).__name__)}. Get or build the file again.')
        found[side] = ids.astype(np.int64)
    return found
