"""A report's blocks, and the same blocks as Markdown and as one HTML page."""
import base64
import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_STYLE = ('body{font:16px/1.5 system-ui,sans-serif;max-width:70em;margin:2em auto;padding:0 1em;color:#222}'
          'table{border-collapse:collapse;margin:1em 0}td,th{padding:.3em .7em;border-bottom:1px solid #ddd;text-align:right}'
          'td:first-child,th:first-child{text-align:left}img{max-width:100%}code{background:#f3f3f3;padding:0 .2em}')


@dataclass(frozen=True)
class Heading:
    text: str
    level: int = 2


@dataclass(frozen=True)
class Text:
    """A paragraph; **bold** and `code` as in Markdown."""
    text: str


@dataclass(frozen=True)
class Items:
    texts: Sequence[str]


@dataclass(frozen=True)
class Grid:
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Picture:
    path: Path
    caption: str


Block = Heading | Text | Items | Grid | Picture


def markdown(blocks: Sequence[Block], folder: Path) -> str:
    """Markdown of a file in `folder`, which pictures are named from."""
    parts = []
    for block in blocks:
        match block:
            case Heading(text, level):
                parts.append(f'{"#" * level} {text}')
            case Text(text):
                parts.append(text)
            case Items(texts):
                parts.append('\n'.join(f'- {text}' for text in texts))
            case Grid(header, rows):
                parts.append('\n'.join(f'| {" | ".join(row)} |' for row in (header, ['---'] * len(header), *rows)))
            case Picture(path, caption):
                parts.append(f'![{caption}]({path.relative_to(folder).as_posix()})')
    return '\n\n'.join(parts) + '\n'


def page(blocks: Sequence[Block], title: str) -> str:
    """One HTML page with its pictures inside."""
    parts = []
    for block in blocks:
        match block:
            case Heading(text, level):
                parts.append(f'<h{level}>{_inline(text)}</h{level}>')
            case Text(text):
                parts.append(f'<p>{_inline(text)}</p>')
            case Items(texts):
                parts.append('<ul>' + ''.join(f'<li>{_inline(text)}</li>' for text in texts) + '</ul>')
            case Grid(header, rows):
                cells = ''.join(f'<th>{_inline(cell)}</th>' for cell in header)
                body = ''.join('<tr>' + ''.join(f'<td>{_inline(cell)}</td>' for cell in row) + '</tr>' for row in rows)
                parts.append(f'<table><tr>{cells}</tr>{body}</table>')
            case Picture(path, caption):
                data = base64.b64encode(path.read_bytes()).decode()
                parts.append(f'<figure><img alt="{html.escape(caption)}" src="data:image/png;base64,{data}">'
                             f'<figcaption>{_inline(caption)}</figcaption></figure>')
    return (f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title><style>{_STYLE}</style>'
            f'<body>{"".join(parts)}</body></html>\n')


def _inline(text: str) -> str:
    text = html.escape(text)
    text = re.sub(r'\*\*(.+?)\*\*', r'<b>\1</b>', text)
    return re.sub(r'`(.+?)`', r'<code>\1</code>', text)
