"""`Verdict`: the result of verifying one model, as a value."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from .agreement import Agreement

Status = Literal["verified", "plausible", "failed", "unreachable", "skipped"]


@dataclass(frozen=True)
class Verdict:
    """The result of verifying one model.

    Attributes:
        model: its name.
        status: `verified`: its labels agree with a known answer; `plausible`: its labels make sense on the
            photos of the package; `failed`: see `reasons`; `unreachable`: its weights could not be
            downloaded; `skipped`: no program can download them.
        reasons: what failed, or why nothing could be compared.
        missing: files that could not be downloaded, each with its address. A model whose known answer is
            among them is at best `plausible`.
        agreement: agreement with the known answer; None if it was not compared.
        binding: whether disagreement with the known answer is a failure, or only reported.
        input_equal: whether the photo at the network's input has the original's bytes; None if not known.
        load_seconds, predict_seconds: time to load the model, and time to label its first photo.
        peak_memory_mb: largest memory in MB: on CUDA, of the tensors on the device; on Linux, of the process
            while the model was loaded and run; elsewhere, of the process since it began.
        weights: sha256 of each weight file, by the role of its network.
        device: the device it ran on.
        picture: the PNG that was written, if any.

    Examples:
        >>> from humanparse import Verdict
        >>> Verdict("schp-lip", "unreachable", missing=("schp-lip.pth",)).status
        'unreachable'
    """

    model: str
    status: Status
    reasons: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    agreement: Agreement | None = None
    binding: bool = True
    input_equal: bool | None = None
    load_seconds: float | None = None
    predict_seconds: float | None = None
    peak_memory_mb: float | None = None
    weights: dict[str, str] = field(default_factory=dict)
    device: str = ""
    picture: Path | None = None
