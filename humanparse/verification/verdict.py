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
        status: `verified`: its labels agree with a known answer; `plausible`: they make sense on the photos
            of the package; `failed`; `unreachable`: its weights could not be fetched; `skipped`: no program
            can fetch them.
        reasons: what failed, or why nothing could be compared.
        missing: files that could not be fetched, each with its address. A model whose known answer is among
            them is plausible at most.
        agreement: with the known answer, where it was compared.
        binding: whether disagreement with the known answer is a failure, or only reported.
        input_equal: whether the photo at the network's input has the original's bytes; None where not known.
        load_seconds, predict_seconds: to load the model, and to label its first photo.
        peak_memory_mb: of the process while the model was loaded and run (elsewhere than on Linux: since the
            process began); on CUDA of the tensors on the device.
        weights: sha256 of each weight file, by what its network does.
        device: where it ran.
        picture: the picture that was written.
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
