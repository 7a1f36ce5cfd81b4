"""What `humanparse verify --json` printed, as a table in Markdown; of several files one table.

python .ci/verified_table.py verdicts.json …
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

HEADS = ("model", "status", "pixels equal", "mIoU", "differences at borders", "s", "MB", "why")


def row(verdict: dict[str, Any]) -> list[str]:
    """One model's cells."""
    found = verdict["agreement"]
    equal, mean_iou, at_borders = ("", "", "")
    if found is not None:
        equal, mean_iou = f"{found['equal']:.3%}", f"{found['mean_iou']:.4f}"
        at_borders = f"{found['at_borders']:.0%}" if found["differing"] else ""
    spent, memory = verdict["predict_seconds"], verdict["peak_memory_mb"]
    why = [*verdict["reasons"], *(f"not fetched: {file}" for file in verdict["missing"])]
    return [
        f"`{verdict['model']}`",
        verdict["status"],
        equal,
        mean_iou,
        at_borders,
        "" if spent is None else f"{spent:.1f}",
        "" if memory is None else f"{memory:.0f}",
        "<br>".join(text.partition("\n")[0].replace("|", "\\|") for text in why),
    ]


def table(verdicts: list[dict[str, Any]]) -> str:
    """All models, by name; first a line that counts them."""
    verdicts = sorted(verdicts, key=lambda verdict: str(verdict["model"]))
    states = [str(verdict["status"]) for verdict in verdicts]
    counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(sorted(states)))
    lines = [HEADS, ["---"] * len(HEADS), *map(row, verdicts)]
    return f"{len(verdicts)} models: {counts}\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    files = [json.loads(Path(name).read_text(encoding="utf-8")) for name in sys.argv[1:]]
    sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    print(table([verdict for content in files for verdict in content]))
