"""The part of a page that becomes a 3D view, and its style. Without scripts or WebGL its text stays."""
import html
import json
from urllib.parse import quote

from hmradapter.visualization.viewer.storage import StoredScene, viewer_names

WITHOUT = ('The 3D view needs a browser with scripts and WebGL, and the folder {folder} beside this page. '
           'The pictures and files are complete without it.')
VIEWER_STYLE = '''
:root { --stage: #eef1f5; --accent: #2f6fde; }
@media (prefers-color-scheme: dark) { :root { --stage: #0d1119; --accent: #7fb0ff; } }
.scene { position: relative; margin-top: .9rem; border: 1px solid var(--line); border-radius: 6px; background: var(--stage);
  overflow: hidden; display: flex; flex-direction: column; min-height: clamp(18rem, 60vh, 36rem); }
.scene:fullscreen { border: 0; border-radius: 0; }
.scene > p { margin: auto; padding: 1rem; max-width: 34rem; text-align: center; }
.stage { position: relative; flex: 1; min-height: 0; }
.stage canvas { position: absolute; inset: 0; width: 100%; height: 100%; cursor: grab; touch-action: pan-y; }
.stage canvas:active { cursor: grabbing; }
.stage canvas:focus-visible { outline: 2px solid var(--accent); outline-offset: -2px; }
.stage p { position: absolute; bottom: .6rem; left: 50%; transform: translateX(-50%); margin: 0; padding: .1rem .7rem;
  width: max-content; max-width: 95%; font-size: .8rem; border-radius: 1rem; background: var(--card); opacity: .9;
  pointer-events: none; transition: opacity .3s; }
.scene:not([data-state=failed]) .stage:focus-within p { opacity: 0; }
.bar { display: flex; flex-wrap: wrap; gap: .4rem .9rem; align-items: center; padding: .45rem .6rem; background: var(--card);
  border-bottom: 1px solid var(--line); font-size: .85rem; }
.bar:last-child { border-bottom: 0; border-top: 1px solid var(--line); flex-wrap: nowrap; }
.bar > span { display: flex; flex-wrap: wrap; gap: .25rem; } .bar > span:last-of-type { margin-left: auto; }
.bar button { font: inherit; color: inherit; background: none; border: 1px solid var(--line); border-radius: 6px;
  padding: .2rem .65rem; cursor: pointer; }
.bar button:hover { border-color: var(--accent); } .bar button[aria-pressed=true] { background: var(--accent);
  border-color: var(--accent); color: var(--card); }
.bar button:focus-visible, .bar input:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
.bar input { flex: 1; min-width: 6rem; accent-color: var(--accent); } .bar output { font-variant-numeric: tabular-nums; }
@media print { .bar, .stage p { display: none; } }
'''


def scene_html(scene: StoredScene, title: str) -> str:
    """The place of a 3D view named `title`."""
    spec = html.escape(json.dumps(dict(scene.spec, title=title), separators=(',', ':')))
    return f'<div class="scene" data-scene="{spec}"><p>{html.escape(WITHOUT.format(folder=scene.folder.name))}</p></div>'


def script_tags(folder: str) -> str:
    """Tags that load the viewer after the page is there; `folder` is relative to the page."""
    return ''.join(f'<script defer src="{html.escape(quote(f"{folder}/{name}"))}"></script>' for name in viewer_names())
