"""Prepares users' values for messages: without secrets, and at most a few hundred characters long."""

from __future__ import annotations

import re

from .addresses import redact

_MOST = 300
"""Most characters of a word, or of a quoted text, in a message."""

_MOST_IN_BRACKETS = 500
_MOST_IN_LINE = 4000  # the names of all models are fewer

_WORD = re.compile(rf"\S{{{_MOST + 1},}}")
_QUOTED = re.compile(rf"(?<!\w)(b?)(['\"])((?:\\.|(?!\2)[^\\]){{{_MOST + 1},}})\2(?!\w)", re.DOTALL)
_BRACKET = re.compile(r"[\[({\])}]")


def presentable(text: str) -> str:
    """A message that may be shown, logged and stored.

    Addresses lose their secrets (see `addresses`). A word or a quoted text of more than 300 characters, a
    list or an array of more than 500, and a line of more than 4000 lose their middle.
    """
    text = redact(shorten(text, 10 * _MOST_IN_LINE))  # the ends of a very long text are enough
    if len(text) <= _MOST:
        return text
    text = _QUOTED.sub(lambda found: f"{found[1]}{found[2]}{shorten(found[3])}{found[2]}", text)
    text = _WORD.sub(lambda found: shorten(found[0]), _without_long_brackets(text))
    return "\n".join(shorten(line, 400) if len(line) > _MOST_IN_LINE else line for line in text.split("\n"))


def said(error: BaseException) -> str:
    """The type and text of another package's error, for a message or a log."""
    return presentable(f"{type(error).__name__}: {shorten(str(error), _MOST)}")


def shorten(text: str, limit: int = 200) -> str:
    """A text of at most about `limit` characters: the beginning and the end of a longer text."""
    return text if len(text) <= limit else f"{text[: limit // 2]}…{text[-(limit // 2) :]}"


def _without_long_brackets(text: str) -> str:
    parts, at, depth, begin = [], 0, 0, 0
    for found in _BRACKET.finditer(text):
        if found[0] in "[({":
            begin = found.start() if depth == 0 else begin
            depth += 1
        elif depth:
            depth -= 1
            if depth == 0 and found.end() - begin > _MOST_IN_BRACKETS:
                parts += [text[at:begin], shorten(text[begin : found.end()])]
                at = found.end()
    return "".join((*parts, text[at:]))
