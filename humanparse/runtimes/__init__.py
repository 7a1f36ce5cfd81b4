"""A loaded network made faster, with the same contract."""

from typing import Final

DEFAULT: Final = "torch"
"""The runtime of `Parser` and of the command line unless another is asked for."""
