"""Time and memory of variants side by side, and how a row is printed."""
import os
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import torch

MIB = 1 << 20


class Row(NamedTuple):
    """One variant: median seconds of a batch, against its group's reference, and peak memory where it was asked for. The group
    memory has batches of one crop."""
    group: str
    variant: str
    dtype: str
    seconds: float
    ratio: float
    peak_mib: float | None = None


def timed(function: Callable[[], None], device: torch.device) -> float:
    """Seconds of one call, the device's work included."""
    start = time.perf_counter()
    function()
    if device.type == 'cuda':
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def compare(group: str, variants: dict[str, Callable[[], None]], repeats: int, device: torch.device,
            dtypes: tuple[str, ...]) -> Iterator[Row]:
    """Median of each variant after one warm-up, in turns; ratios are to the first."""
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for function in variants.values():
        timed(function, device)
    for _ in range(repeats):
        for name, function in variants.items():
            seconds[name].append(timed(function, device))
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    reference = next(iter(medians.values()))
    for (name, median), dtype in zip(medians.items(), dtypes, strict=True):
        yield Row(group, name, dtype, median, median / reference)


def peak_memory(function: Callable[[], None], device: torch.device) -> float | None:
    """Peak MiB of one call, weights included: of the device, or of the process where Linux tells (else None)."""
    if device.type == 'cuda':
        torch.cuda.reset_peak_memory_stats(device)
        function()
        return torch.cuda.max_memory_allocated(device) / MIB
    reset = Path('/proc/self/clear_refs')
    if not os.access(reset, os.W_OK):
        return None
    reset.write_text('5')  # 5 sets the process' peak to what it holds now
    function()
    peak = next(line for line in Path('/proc/self/status').read_text().splitlines() if line.startswith('VmHWM'))
    return int(peak.split()[1]) / 1024


HEADER = f'{"group":10} {"variant":38} {"dtype":9} {"ms/batch":>10} {"ms/crop":>9} {"ratio":>7} {"peak MiB":>9}'


def line(row: Row, batch_size: int) -> str:
    """A row of the table."""
    batch_size = crops_of(row, batch_size)
    peak = '' if row.peak_mib is None else f'{row.peak_mib:9.0f}'
    return (f'{row.group:10} {row.variant:38} {row.dtype:9} {1e3 * row.seconds:10.1f} '
            f'{1e3 * row.seconds / batch_size:9.1f} {row.ratio:7.3f} {peak:>9}')


def crops_of(row: Row, batch_size: int) -> int:
    """Crops of a row's batch."""
    return 1 if row.group in ('memory', 'dual_path') else batch_size
