"""How a mistake in a config is told."""
import difflib
from collections.abc import Iterable


class ConfigError(ValueError):
    """All mistakes of one config; the message has a line for each."""

    def __init__(self, source: str, mistakes: list[str]):
        self.mistakes = mistakes
        lines = ''.join(f'\n  {mistake}' for mistake in mistakes)
        super().__init__(f'{source} has {len(mistakes)} mistake{"s" * (len(mistakes) > 1)}:{lines}')


def suggestion(name: str, known: Iterable[str]) -> str:
    """' Did you mean ...?' with the nearest known name, else the known names themselves."""
    known = sorted(set(known))
    lowered = {candidate.lower(): candidate for candidate in reversed(known)}
    close = difflib.get_close_matches(name.lower(), lowered, n=1, cutoff=0.6)
    if close:
        return f' Did you mean {lowered[close[0]]!r}?'
    return f' Known: {", ".join(known)}.' if known else ''
