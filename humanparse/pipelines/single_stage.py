"""Single-stage models: one network, one photo, people and their parts at once."""

from __future__ import annotations

from ._centres import People
from ._smp_decoder import decode_smp
from ._uniparser_decoder import decode_uniparser

__all__ = ["People", "decode_smp", "decode_uniparser"]
