"""Runs a loaded network faster, with the same contract."""

from typing import Final

DEFAULT: Final = "torch"
"""The default runtime of `Parser` and of the command line."""
