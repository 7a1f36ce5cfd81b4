"""Left and right in the names of labels."""

from __future__ import annotations

import re

_SIDES = (("left", "right"), ("l", "r"))


def pairs_by_name(names: tuple[str, ...]) -> tuple[tuple[int, int], ...]:
    """Pairs of labels whose names differ only by left and right, or l and r: `Left-arm`, `arm (R)`."""
    spelled = {"-".join(word.lower() for word in _words(name)): number for number, name in enumerate(names)}
    pairs = []
    for spelling, number in spelled.items():
        for left, right in _SIDES:
            pattern = left if len(left) > 1 else rf"\b{left}\b"
            other = spelled.get(re.sub(pattern, right, spelling), number)
            if other != number:
                pairs.append((number, other))
                break
    return tuple(pairs)


def _words(name: str) -> list[str]:
    return re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W_A-Za-z]+", name)
