"""Scores -> the tables that papers print, in percent."""

from __future__ import annotations

import math
from typing import Any

from rich.table import Table

_OF_WHOM = {
    "schp_ce2p": "as SCHP and CE2P: an absent class counts 0",
    "mce2p": "as M-CE2P: an absent class is left out",
    "ssseg": "as SSSegmentation: an absent class is left out",
}


def tables(scores: dict[str, Any]) -> dict[str, Table]:
    """Heading -> table: the summary, AP and PCP at each threshold if there are any, each class's IoU."""
    what = f"{scores['dataset']} {scores['split']}, {scores['photos']} photos"
    found = {f"{what} ({_OF_WHOM[scores['convention']]})": _summary(scores)}
    if "region" in scores or "person" in scores:
        found["At each IoU threshold"] = _thresholds(scores)
    return {**found, "IoU of each class": _classes(scores)}


def _summary(scores: dict[str, Any]) -> Table:
    semantic = scores["semantic"]
    values = {
        "pixel acc.": semantic["pixel_accuracy"],
        "mean acc.": semantic["mean_accuracy"],
        "fwIoU": semantic["frequency_weighted_iou"],
        "mIoU": semantic["mean_iou"],
    }
    if "region" in scores:
        values |= {"APr_50": scores["region"]["ap_50"], "APr_vol": scores["region"]["ap_vol"]}
    if "person" in scores:
        person = scores["person"]
        values |= {"APp_50": person["ap_50"], "APp_vol": person["ap_vol"], "PCP_50": person["pcp_50"]}
    table = _table(*values)
    table.add_row(*map(_percent, values.values()))
    return table


def _thresholds(scores: dict[str, Any]) -> Table:
    table = _table(*(f"{step / 10}" for step in range(1, 10)), first="")
    rows = (("APr", "region", "ap"), ("APp", "person", "ap"), ("PCP", "person", "pcp"))
    for name, kind, key in rows:
        if kind in scores:
            table.add_row(name, *map(_percent, scores[kind][key]))
    return table


def _classes(scores: dict[str, Any]) -> Table:
    table = _table("IoU", first="class")
    for name, iou in zip(scores["labels"], scores["semantic"]["iou"], strict=True):
        table.add_row(name, _percent(iou))
    return table


def _table(*columns: str, first: str | None = None) -> Table:
    table = Table(box=None, pad_edge=False)
    if first is not None:
        table.add_column(first, no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _percent(fraction: float) -> str:
    return "–" if math.isnan(fraction) else f"{100 * fraction:.2f}"
