"""The files beside a page: scripts with meshes, and the viewer itself.

Every file is named by the hash of its content and is never changed, so an old page and a new one can lie over the same folder,
and what a killed run left behind is found again. The page is written last and names what it needs.
"""
import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hmradapter.fileio import atomic_write
from hmradapter.visualization.encoding import data_uri
from hmradapter.visualization.meshes import Mesh, fit_inside
from hmradapter.visualization.viewer.packing import pack_faces, pack_vertices
from hmradapter.visualization.viewer.scene import Frame3D, Scene3D

SCRIPTS = dict(three=('vendor/three.min.js',), viewer=('js/meshes.js', 'js/view.js', 'js/page.js'))
OUR_FILES = re.compile(r'(three|viewer|faces|frame)-[0-9a-f]{16}\.js')
PICTURE_SIZE = 1024  # px, longer side of the picture behind the meshes


@dataclass(frozen=True)
class StoredScene:
    """A scene whose meshes are written: `spec` is what the page must know (JSON values), `files` are names in `folder`."""
    folder: Path
    files: tuple[str, ...]
    spec: dict


def scene_folder(page: str | Path) -> Path:
    """Where the files of a page lie: `index_files` for `index.html`."""
    page = Path(page)
    return page.with_name(f'{page.stem}_files')


def store_scene(scene: Scene3D, folder: str | Path, picture_size: int = PICTURE_SIZE) -> StoredScene:
    """Write the meshes of a scene into `folder`, normally `scene_folder(page)`.

    A run over many images stores each scene as it comes and keeps the small result, which a `Section` takes as well."""
    folder = Path(folder)
    faces: dict[int, str] = {}  # by identity: most runs have one array of triangles
    names = [_store(folder, 'frame', _frame(frame, folder, faces, picture_size)) for frame in scene.frames]
    low, high = scene.bounds()
    radius = float(np.linalg.norm(high - low) / 2)
    K = np.asarray(scene.K, np.float64)
    spec = dict(folder=folder.name, frames=names, variants=scene.variants, fps=scene.fps, size=[int(x) for x in scene.size],
                focal=[K[0, 0], K[1, 1]], princpt=[K[0, 2], K[1, 2]], center=((low + high) / 2).tolist(), radius=radius,
                picture=any(frame.picture is not None for frame in scene.frames),
                backdrop=float(max(high[2], 0) + 0.3 * radius + 1e-3))
    return StoredScene(folder, tuple(dict.fromkeys([*names, *faces.values()])), spec)


def store_viewer(folder: str | Path) -> list[str]:
    """Write the viewer's scripts into `folder`; their names in the order in which a page loads them."""
    return [_store_text(Path(folder), name, _script(parts)) for name, parts in SCRIPTS.items()]


def viewer_names() -> list[str]:
    """The names that `store_viewer` gives."""
    return [_name(name, _script(parts)) for name, parts in SCRIPTS.items()]


def remove_unused(folder: str | Path, used: Iterable[str]) -> None:
    """Delete files of earlier pages from `folder`; files that are not ours stay."""
    used = set(used)
    for path in Path(folder).glob('*.js'):
        if OUR_FILES.fullmatch(path.name) and path.name not in used:
            path.unlink(missing_ok=True)


def _frame(frame: Frame3D, folder: Path, faces: dict[int, str], picture_size: int) -> dict:
    def packed(mesh: Mesh) -> dict:
        if id(mesh.faces) not in faces:
            faces[id(mesh.faces)] = _store(folder, 'faces', pack_faces(mesh.faces))
        return dict(vertices=pack_vertices(mesh.vertices), faces=faces[id(mesh.faces)], color=[float(x) for x in mesh.color])

    picture = None if frame.picture is None else data_uri(fit_inside(frame.picture, picture_size))
    meshes = {variant: [packed(mesh) for mesh in people] for variant, people in frame.meshes.items()}
    return dict(meshes=meshes, picture=picture)


def _store(folder: Path, kind: str, content: dict) -> str:
    text = json.dumps(content, separators=(',', ':'), allow_nan=False)
    return _store_text(folder, kind, f'hmradapter3d.deliver({text});\n')


def _store_text(folder: Path, kind: str, text: str) -> str:
    name = _name(kind, text)
    if not (folder / name).exists():
        with atomic_write(folder / name, 'w') as file:
            file.write(text)
    return name


def _name(kind: str, text: str) -> str:
    return f'{kind}-{hashlib.sha256(text.encode()).hexdigest()[:16]}.js'


def _script(parts: tuple[str, ...]) -> str:
    return '\n'.join((Path(__file__).parent / part).read_text(encoding='utf-8') for part in parts)
