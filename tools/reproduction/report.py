"""What came out, beside what the paper says: blocks of a report from the records of a table's runs."""
import itertools
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

from hmradapter.visualization.curve_plot import plot_curves

from .document import Block, Grid, Heading, Items, Picture, Text
from .estimates import Estimate, estimate, occlusion_quartiles
from .plots import plot_occlusion, plot_parameters
from .tables import Row, Table

MAIN, HANDS = 'PVE', 'PVE/hands'
OURS = 'no6_ours'  # the paper's adapter
# The paper's four findings under table 3: (claim, row that should be better, rows that it should beat).
FINDINGS = (
    ('Pre-training helps (No. 1 against No. 2)', 'no1_full', ('no2_scratch',)),
    ('The adapter is highly efficient (No. 5 against No. 1 and No. 3)', 'no5_image_tokens', ('no1_full', 'no3_decoder')),
    ('The body\'s pose is useful (No. 6 against No. 5)', OURS, ('no5_image_tokens',)),
    ('The adapter injects it better than concatenation (No. 6 against No. 4)', OURS, ('no4_concatenation',)))
FINDING_MEASURES = ('PVE', 'PA-PVE')


class Results:
    """Records of a table's runs by row, and numbers from them. {row key: [record of each seed]}"""

    def __init__(self, table: Table, records: dict[str, list[dict]]):
        self.table, self.records = table, records
        self.rows = [row for row in table.rows if records.get(row.key)]
        self._known: dict[tuple, Estimate] = {}

    def of(self, row: Row, measure: str = MAIN, evaluation: str | None = None, quartile: int | None = None) -> Estimate | None:
        """The row's number; by default on the target domain, guided by predictions where it is guided: the headline. None where
        nothing was measured, as the rotation of the wrists of EHF, whose truth is scans."""
        name = evaluation or headline(row)
        place = (row.key, measure, name, quartile)
        if place not in self._known:
            found = [record['evaluations'][name] for record in self.records[row.key] if name in record['evaluations']]
            if not any(value is not None for evaluation in found for value in evaluation['errors'].get(measure, ())):
                return None
            members = None if quartile is None else occlusion_quartiles(found[0])[quartile][1]
            self._known[place] = estimate(found, measure, members)
        return self._known[place]

    @property
    def quartiles(self) -> list[str]:
        """Visible shares of the groups by occlusion; none where visibility is not known."""
        first = self.rows[0]
        return [label for label, _ in occlusion_quartiles(self.records[first.key][0]['evaluations'][headline(first)])]

    @property
    def base(self) -> Row | None:
        """The row that is an expert as it is, which changes are told against."""
        return self.named('base') or self.named('expert')

    def named(self, key: str) -> Row | None:
        return next((row for row in self.rows if row.key == key), None)


def headline(row: Row) -> str:
    return 'target-predicted' if row.guided else 'target'


def blocks(results: Results, folder: Path, command: str, counts: dict[str, int], same_data: bool = False) -> list[Block]:
    """The report of a table; pictures go to `folder`. counts: trainable parameters of the real-size configs by row; same_data:
    measured on the paper's data with its experts."""
    table = results.table
    title = f'Table {table.number}: {table.title}' if table.number else f'{table.title[0].upper()}{table.title[1:]}'
    found: list[Block] = [Heading(title, 1), Text('Made by `tools/reproduce.py`; docs/evaluation.md says what is measured.')]
    if table.number:
        text = table.note if same_data else (
            'The paper\'s figures are of another data set, other experts and another scale: only the order of rows and '
            f'relative changes compare. {table.note}'.rstrip())
        guided = any(row.guided for row in results.rows)
        if guided:
            text += (' Rows that are guided are told with **predicted** guidance first, then with the true one: the paper '
                     'trains with the truth and does not say what guides in its tables.')
        found += [Text(text), *_order(results, MAIN), *(_order(results, MAIN, 'true') if guided else [])]
        if HANDS in table.measures:
            found += _order(results, HANDS)
    if table.number == 3:
        found += [Heading('The paper\'s four findings'), Items([_finding(results, *finding) for finding in FINDINGS])]
    for row in filter(None, map(results.named, table.references)):
        found += [Heading(f'Against: {row.title}'), _against(results, row)]
    found += [Heading('Rows'), _numbers(results, counts),
              Text('mm, mean of the seeds with its 95 % bootstrap interval over seeds and held-out sequences; with few seeds '
                   'it is narrow, and the people are not drawn. In brackets after figures: change against the frozen expert.')]
    found += [*_guidance(results), *_places(results), *_quartiles(results, folder), *_forgetting(results)]
    found += [*_pictures(results, folder), Heading('How'), Items(_how(results, command))]
    return found


def _order(results: Results, measure: str, guidance: str | None = None) -> list[Block]:
    """Pairs of rows whose order is not the paper's, first of all; by the headline, or with another guidance."""
    def told(row: Row) -> Estimate:
        return results.of(row, measure, f'target-{guidance}' if guidance and row.guided else None)

    rows = [row for row in results.rows if measure in row.paper]
    swapped, agreed, sure_of = [], 0, 0
    for a, b in combinations(rows, 2):
        if a.paper[measure] == b.paper[measure]:
            continue
        difference = Estimate.of(told(a).mean - told(b).mean, told(a).draws - told(b).draws)
        if (row_gap := a.paper[measure] - b.paper[measure]) * difference.mean < 0:
            better, worse, sign = (a, b, 1) if difference.mean < 0 else (b, a, -1)
            interval = sorted((-sign * difference.low, -sign * difference.high))
            sure = 'beyond chance' if difference.excludes_zero else 'within chance'
            swapped.append(f'{better.title} is better than {worse.title} by {abs(difference.mean):.2f} mm '
                           f'[{interval[0]:.2f}, {interval[1]:.2f}] ({sure}); in the paper it is worse by '
                           f'{abs(row_gap):.1f} mm.')
        else:
            agreed += 1
            sure_of += difference.excludes_zero
    total = agreed + len(swapped)
    how = f' with {guidance} guidance' if guidance else ''
    return [Text(f'**Order by {measure}{how}: {agreed} of {total} pairs of rows are as in the paper, {sure_of} of them beyond '
                 'chance.**'
                 + (' These are not:' if swapped else '')), *([Items(swapped)] if swapped else [])]


def _finding(results: Results, claim: str, better: str, others: tuple[str, ...]) -> str:
    row, rivals = results.named(better), [results.named(key) for key in others]
    if row is None or None in rivals:
        return f'{claim}: not run.'
    changes, main = [], []
    for rival in rivals:
        for measure in FINDING_MEASURES:
            change = results.of(row, measure).relative_to(results.of(rival, measure))
            main += [change] if measure == MAIN else []
            changes.append(f'{measure} {_percent(change)} against {rival.title}')
        if row.guided:
            true = [results.of(one, MAIN, 'target-true' if one.guided else None) for one in (row, rival)]
            changes.append(f'with true guidance {MAIN} {_percent(true[0].relative_to(true[1]))}')
    verdict = 'yes' if all(change.high < 0 for change in main) else (
        'no, the opposite' if any(change.low > 0 for change in main) else 'no, within chance')
    return f'{claim}: **{verdict}** by {MAIN}. {"; ".join(changes)}.'


def _against(results: Results, reference: Row) -> Grid:
    """Relative change of the headline, over all samples and over the quarter that is hidden most; of persons also of hands."""
    labels = results.quartiles
    places = [('all', MAIN, None), *([(f'of those with {labels[-1]} in sight', MAIN, len(labels) - 1)] if labels else []),
              *([('their hands', HANDS, None)] if HANDS in results.table.measures else [])]
    rows = [[row.title, *(_percent(results.of(row, measure, None, quartile).relative_to(
        results.of(reference, measure, None, quartile))) for _, measure, quartile in places)]
        for row in results.rows if row is not reference]
    return Grid([f'change of {MAIN}', *(name for name, *_ in places)], rows)


def _numbers(results: Results, counts: dict[str, int]) -> Grid:
    table, base = results.table, results.base
    header = ['row', 'learn here', *(['learn at full size', *(['the paper\'s'] if table.number else [])] if counts else [])]
    for measure in table.measures:
        header += [*([f'{measure}, paper'] if table.number else []), f'{measure}, here']
    rows = []
    for row in results.rows:
        trainable = results.records[row.key][0]['trainable']
        cells = [row.title, f'{trainable:,}' if trainable else '-']
        if counts:
            cells += [f'{counts[row.key] / 1e6:.1f}M' if counts.get(row.key) else '-',
                      *([row.params or '-'] if table.number else [])]
        for measure in table.measures:
            if table.number:
                paper, of_base = row.paper.get(measure), base.paper.get(measure) if base else None
                cells.append('-' if paper is None else f'{paper:.1f}{_change(paper, of_base, row is base)}')
            here = results.of(row, measure)
            cells.append(f'{here}{_change(here.mean, results.of(base, measure).mean if base else None, row is base)}')
        rows.append(cells)
    return Grid(header, rows)


def _percent(change: Estimate) -> str:
    return f'{change.mean:+.1f} % [{change.low:+.1f}, {change.high:+.1f}]'


def _change(value: float, base: float | None, is_base: bool) -> str:
    return '' if base is None or is_base else f' ({100 * (value / base - 1):+.0f} %)'


def _guidance(results: Results) -> list[Block]:
    guided = [row for row in results.rows if row.guided]
    if not guided:
        return []
    kinds = dict(true='true', predicted='predicted', none='no')
    rows = [[row.title, *(str(results.of(row, MAIN, f'target-{kind}')) for kind in kinds)] for row in guided]
    return [Heading('What guides'), Grid([f'{MAIN} of guided rows', *(f'{name} guidance' for name in kinds.values())], rows)]


def _places(results: Results) -> list[Block]:
    """What PVE follows: the wrist's rotation, and of persons the distance between their hands."""
    measures = {'wrist-rotation': 'rotation of the wrist, degrees'} if results.table.part == 'hand' else {
        'wrist-rotation/hands': 'rotation of the wrists, degrees', 'MRRPE/hands': 'MRRPE, mm'}
    rows = []
    for row in results.rows:
        for name in results.records[row.key][0]['evaluations']:
            errors = [results.of(row, measure, name) for measure in measures]
            if name.startswith('target') and None not in errors:
                rows.append([row.title, name.partition('-')[2] or '-', *map(str, errors)])
    return [Heading('Where the hands are'), Grid(['row', 'guidance', *measures.values()], rows)] if rows else []


def _quartiles(results: Results, folder: Path) -> list[Block]:
    labels = results.quartiles
    if not labels:
        return []
    by_row = {row.title: [results.of(row, MAIN, None, k) for k in range(len(labels))] for row in results.rows}
    path = folder / 'occlusion.png'
    plot_occlusion(path, by_row, labels, MAIN)
    what = 'hands' if results.table.part == 'hand' else 'persons, by the more hidden hand'
    return [Heading('By occlusion'),
            Grid([f'{MAIN}, {what} by what is in sight', *labels],
                 [[title, *map(str, errors)] for title, errors in by_row.items()]),
            Picture(path, f'{MAIN} by occlusion')]


def _forgetting(results: Results) -> list[Block]:
    rows, base = [], results.base
    for row in results.rows:
        domains = {domain: headline(row).replace('target', domain) for domain in ('target', 'source')}
        found = {domain: results.of(row, MAIN, name) for domain, name in domains.items()}
        if None in found.values():
            continue
        changes = ['-' if base in (None, row) else _percent(error.relative_to(results.of(base, MAIN, domain)))
                   for domain, error in found.items()]
        rows.append([row.title, *itertools.chain(*zip(map(str, found.values()), changes, strict=True))])
    if not rows:
        return []
    return [Heading('What is forgotten'),
            Grid([MAIN, 'target domain (trained on)', 'change', 'source domain (what the expert knew)', 'change'], rows)]


def _pictures(results: Results, folder: Path) -> list[Block]:
    base = results.named('base')
    trained = [row for row in results.rows if results.records[row.key][0]['iterations']]
    found: list[Block] = []
    if base and trained:
        path = folder / 'parameters.png'
        plot_parameters(path, {row.title: (results.records[row.key][0]['trainable'], results.of(row)) for row in trained},
                        results.of(base), MAIN)
        found.append(Picture(path, f'{MAIN} against trainable parameters'))
    guide = 'true bodies' if results.table.part == 'hand' else 'predicted knuckles'  # as the configs' validation has it
    for name, kind, ylabel, log in (('loss.png', 'loss', 'training loss', True),
                                    ('steps.png', 'PVE', f'{MAIN} (mm) on the way, {guide}', False)):
        curves = {row.title: [record['curve'][kind] for record in results.records[row.key] if len(record['curve'][kind]) > 1]
                  for row in trained}
        curves = {title: of_row for title, of_row in curves.items() if of_row}
        if curves:
            plot_curves(folder / name, {ylabel: curves}, [ylabel] if log else [])
            found.append(Picture(folder / name, f'{ylabel} against iterations, one line a seed'))
    return [Heading('Pictures'), *found] if found else []


def _how(results: Results, command: str) -> Sequence[str]:
    records = [record for row in results.rows for record in results.records[row.key]]
    first = records[0]['evaluations']
    trained = sorted({record['iterations'] for record in records if record['iterations']})
    gpus = sorted({record['gpus'] for record in records if record.get('gpus')})
    versions = sorted({' '.join(f'{name} {number}' for name, number in record['versions'].items()) for record in records})
    return (f'Command: `{command}`', f'Machine: {"; ".join(sorted({record["machine"] for record in records}))}',
            f'Time: {sum(record["seconds"] for record in records) / 3600:.2f} h of single runs together, '
            f'{sum(record["train_seconds"] for record in records) / 3600:.2f} h of them training',
            f'Seeds: {sorted({record["seed"] for record in records})}'
            + (f'; iterations: {trained}' if trained else '')
            + (f'; processes that shared a batch: {gpus}' if gpus else ''),
            f'Protocol: {next(iter(first.values()))["protocol"]}, {len(next(iter(first.values()))["key"])} samples',
            f'Versions: {"; ".join(versions)}')
