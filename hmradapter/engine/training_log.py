"""What a training run wrote down on its way."""
import json
from pathlib import Path

Curve = list[tuple[int, float]]  # (iteration, value)


def read_curves(work_dir: str | Path) -> dict[str, Curve]:
    """{name: [(iteration, value)]} of every number in the log of a work dir, such as 'loss' and 'hands/PVE'.

    A run that was resumed has a log for each start; what a start logged at and after the next one's first entry is left out.
    Empty where nothing was logged, as in a run that is shorter than the logger's interval.
    """
    curves: dict[str, Curve] = {}
    for start in sorted(Path(work_dir).glob('*/vis_data/scalars.json')):
        text = start.read_text()
        entries = [json.loads(line) for line in text[:text.rfind('\n') + 1].splitlines()]  # a killed run leaves half a line
        begin = min((entry['step'] for entry in entries), default=float('inf'))
        curves = {name: [point for point in curve if point[0] < begin] for name, curve in curves.items()}
        for entry in entries:
            for name, value in entry.items():
                if name not in ('step', 'iter') and isinstance(value, int | float):
                    curves.setdefault(name, []).append((entry['step'], value))
    return {name: curve for name, curve in curves.items() if curve}
