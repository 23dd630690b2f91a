"""One web page of results that opens from disk and asks the network for nothing.

Without 3D views it is a single file without scripts; views add a folder of scripts beside it (see `viewer`).
"""
import html
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import quote

import numpy as np

from hmradapter.fileio import atomic_write, remove_partial_files
from hmradapter.visualization.encoding import data_uri
from hmradapter.visualization.meshes import fit_inside
from hmradapter.visualization.viewer import Scene3D, StoredScene, scene_folder, store_scene
from hmradapter.visualization.viewer.markup import VIEWER_STYLE, scene_html, script_tags
from hmradapter.visualization.viewer.storage import remove_unused, store_viewer

STYLE = '''
:root { color-scheme: light dark; --ink: #1d2433; --soft: #5d6880; --line: #dfe3ea; --paper: #fafbfc; --card: #fff;
  --warn: #b3261e; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8ebf2; --soft: #9aa5bb; --line: #323a4b; --paper: #12161f; --card: #1a202c; --warn: #ff8a80; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.2rem 4rem; max-width: 76rem; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 1.6rem; margin: 0 0 .3rem; } h2 { font-size: 1.1rem; margin: 0 0 .7rem; overflow-wrap: anywhere; }
p { margin: .3rem 0; color: var(--soft); }
section { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 1rem 1.1rem; margin: 1.2rem 0; }
.figures { display: flex; flex-wrap: wrap; gap: .9rem; align-items: flex-start; }
figure { margin: 0; flex: 1 1 15rem; max-width: 32rem; } figure.small { flex: 0 1 13rem; }
figure img { display: block; width: 100%; border-radius: 6px; border: 1px solid var(--line); }
figcaption { font-size: .85rem; color: var(--soft); margin-top: .25rem; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; margin-top: .9rem; font-size: .88rem; }
th, td { text-align: right; padding: .25rem .7rem; border-bottom: 1px solid var(--line); white-space: nowrap;
  font-variant-numeric: tabular-nums; }
th { color: var(--soft); font-weight: 600; } th:first-child, td:first-child { text-align: left; padding-left: 0; }
a { color: inherit; } .files a { margin-right: 1rem; } .warn, .warn p { color: var(--warn); }
'''


@dataclass
class Figure:
    """A picture (H, W, 3) uint8 BGR with a caption. href: file beside the page that a click opens; small: a narrow column."""
    caption: str
    image: np.ndarray
    href: str | None = None
    small: bool = False


@dataclass
class Section:
    """A titled part of the page; files are (label, path relative to the page); scene: an interactive 3D view, or what
    `store_scene` made of it."""
    title: str
    notes: Sequence[str] = ()
    figures: Sequence[Figure] = ()
    tables: Sequence[tuple[Sequence[str], Sequence[Sequence[str]]]] = ()
    files: Sequence[tuple[str, str]] = ()
    warning: bool = False
    scene: Scene3D | StoredScene | None = None


@dataclass
class Page:
    """Sections under a title. Pictures stand inside the page, at most `picture_size` px wide or high."""
    title: str
    notes: Sequence[str] = ()
    sections: list[Section] = field(default_factory=list)
    picture_size: int = 640

    def html(self) -> str:
        """The whole page as text. All text of users (names, messages) is escaped. Scenes must be stored, as `write` does."""
        scenes = [section.scene for section in self.sections if section.scene is not None]
        if any(isinstance(scene, Scene3D) for scene in scenes):
            raise ValueError('the page has a 3D view whose meshes lie in no file: use Page.write, or store_scene before.')
        folders = {scene.folder.name for scene in scenes}
        style, scripts = (STYLE + VIEWER_STYLE, script_tags(min(folders))) if folders else (STYLE, '')
        notes = ''.join(f'<p>{html.escape(note)}</p>' for note in self.notes)
        body = ''.join(self._section(section) for section in self.sections)
        return (f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
                f'<meta name="viewport" content="width=device-width, initial-scale=1"><title>{html.escape(self.title)}</title>'
                f'<style>{style}</style></head>\n<body><header><h1>{html.escape(self.title)}</h1>{notes}</header>\n'
                f'{body}{scripts}</body></html>\n')

    def write(self, path: str | Path) -> None:
        """Write the page atomically, after the files of its 3D views, in `scene_folder(path)`. Files of earlier views there go.

        Raises ValueError for a scene that was stored elsewhere."""
        folder = scene_folder(path)
        sections = [replace(section, scene=_stored(section, folder)) for section in self.sections]
        used = [name for section in sections if section.scene is not None for name in section.scene.files]
        if used:
            used += store_viewer(folder)
        with atomic_write(path, 'w') as file:
            file.write(replace(self, sections=sections).html())
        if folder.is_dir():
            remove_partial_files(folder)
            remove_unused(folder, used)

    def _section(self, section: Section) -> str:
        parts = [f'<h2>{html.escape(section.title)}</h2>', *(f'<p>{html.escape(note)}</p>' for note in section.notes)]
        if section.figures:
            parts.append(f'<div class="figures">{"".join(map(self._figure, section.figures))}</div>')
        if section.scene is not None:
            parts.append(scene_html(section.scene, section.title))
        parts += [_table(header, rows) for header, rows in section.tables]
        if section.files:
            links = ''.join(f'<a href="{_href(path)}">{html.escape(label)}</a>' for label, path in section.files)
            parts.append(f'<p class="files">{links}</p>')
        return f'<section{" class=warn" if section.warning else ""}>{"".join(parts)}</section>\n'

    def _figure(self, figure: Figure) -> str:
        caption = html.escape(figure.caption)
        small = fit_inside(figure.image, self.picture_size)
        image = f'<img src="{data_uri(small)}" alt="{caption}">'
        if figure.href:
            image = f'<a href="{_href(figure.href)}">{image}</a>'
        return f'<figure{" class=small" if figure.small else ""}>{image}<figcaption>{caption}</figcaption></figure>'


def _stored(section: Section, folder: Path) -> StoredScene | None:
    scene = store_scene(section.scene, folder) if isinstance(section.scene, Scene3D) else section.scene
    if scene is not None and scene.folder.resolve() != folder.resolve():
        raise ValueError(f'the scene of {section.title!r} is stored in {scene.folder}, but this page loads {folder}: '
                         f'store it in scene_folder(path of the page).')
    return scene


def _href(path: str) -> str:
    return html.escape(quote(path))


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = ''.join(f'<th>{html.escape(str(cell))}</th>' for cell in header)
    body = ''.join('<tr>' + ''.join(f'<td>{html.escape(str(cell))}</td>' for cell in row) + '</tr>' for row in rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
