"""Scores as text that can be read in a terminal, a log or a web page."""
from collections.abc import Sequence

from hmradapter.evaluation.scores import NAMES, UNITS, Scores, flatten, unit_of


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Aligned columns, first column left, the others right."""
    widths = [max(len(str(row[column])) for row in (header, *rows)) for column in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        first, *others = (str(cell) for cell in cells)
        padded = (cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))
        return '  '.join([first.ljust(widths[0]), *padded]).rstrip()

    return '\n'.join([line(header), line(['-' * width for width in widths]), *map(line, rows)])


def _number(value: float | None) -> str:
    return '-' if value is None or value != value else f'{value:.3f}'


def mean_rows(scores: Scores) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the table by part, one row a measure, the protocol's id in each."""
    counted = list(next(iter(scores.counts.values())))
    rows = [[f'{NAMES[name]} ({UNITS[name]})', *(_number(values.get(column)) for column in scores.columns),
             ' + '.join(str(scores.counts[name][part]) for part in counted), scores.protocol.id]
            for name, values in scores.means.items()]
    behind = f' ({" + ".join(part[0] for part in counted)})' if len(counted) > 1 else ''
    return ['measure', *scores.columns, scores.subject + behind, 'protocol'], rows


def occlusion_rows(scores: Scores) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the table by occlusion quartile, most visible first."""
    names = list(scores.occlusion[0]['means'])
    rows = [[f'Q{group["quartile"]}: {group["visible_from"]:.0%} to {group["visible_to"]:.0%} visible',
             str(group[scores.subject]), *(_number(group['means'][name]) for name in names), scores.protocol.name]
            for group in scores.occlusion]
    return ['occlusion quartile', scores.subject, *(f'{name} ({unit_of(name)})' for name in names), 'protocol'], rows


def format_scores(scores: Scores) -> str:
    """All tables of an evaluation, ready to print."""
    blocks = [text_table(*mean_rows(scores))] if scores.means else []
    if scores.occlusion:
        blocks.append(text_table(*occlusion_rows(scores)))
    if scores.sets:
        blocks.append(text_table(['set measure', 'value', 'protocol'],
                                 [[name, f'{value:.6f}', scores.protocol.id] for name, value in flatten(scores.sets)]))
    return '\n\n'.join(blocks)
