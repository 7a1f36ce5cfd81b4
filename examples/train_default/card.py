"""Weights and card of `lite-atr`, written beside and renamed, so that a reader never sees half a file."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save
from score import LONG, SHORT, Scores, iou_of, rows
from torch import Tensor, nn

CARD = Path(__file__).with_name("card.md")


def number(value: float) -> str:
    """Three digits; a dash where there is nothing to divide by."""
    return "–" if math.isnan(value) else f"{value:.3f}"


def write(path: Path, content: bytes) -> None:
    """Replace `path` in one move."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(path.suffix + ".part")
    part.write_bytes(content)
    os.replace(part, path)


def tensors(net: nn.Module) -> dict[str, Tensor]:
    """The state as float16, without batch norms' step counters: a plain dict loads strictly without them."""
    return {
        name: value.detach().to("cpu", torch.float16).contiguous()
        for name, value in net.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }


def publish(out: Path, net: nn.Module, scores: Scores, facts: dict[str, str]) -> None:
    """Write `lite-atr.safetensors` and `lite-atr.md` into `out`."""
    state = tensors(net)
    content = save(state, {"humanparse_model": "lite-atr", "scheme": "atr", **facts})
    write(out / "lite-atr.safetensors", content)
    table = [f"| {name} | {number(iou)} | {number(precision)} |" for name, iou, precision in rows(scores)]
    others = [f"| mIoU, {name} | {np.nanmean(iou_of(crop)):.3f} |" for name, crop in scores.crops.items()]
    others += [f"| side right, {name} | {share:.3f} |" for name, share in scores.sides.items()]
    words = {
        **facts,
        "parameters": f"{sum(p.numel() for p in net.parameters()) / 1e6:.2f}",
        "megabytes": f"{len(content) / 1e6:.1f}",
        "accuracy": f"{scores.accuracy:.3f}",
        "miou": f"{scores.miou:.3f}",
        "short": str(SHORT),
        "long": str(LONG),
        "table": "\n".join(table),
        "others": "\n".join(others),
        "note": "" if facts["finished"] == "True" else "\nProvisional: the training run has not ended yet.\n",
    }
    write(out / "lite-atr.md", CARD.read_text(encoding="utf-8").format(**words).encode())
