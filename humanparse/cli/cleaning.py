"""Options that all commands share that clean labels or edge masks."""

from __future__ import annotations

from typing import Annotated

import typer

MinArea = Annotated[
    str,
    typer.Option(help="Give islands smaller than this the label they touch most: pixels, or 0.1%."),
]
Fill = Annotated[str, typer.Option(help="Fill holes inside a part up to this size: pixels, or 0.1%.")]
Smooth = Annotated[int, typer.Option(help="Smooth borders within this radius in pixels.")]
Grow = Annotated[int, typer.Option(help="Grow the mask by this many pixels.")]
Shrink = Annotated[int, typer.Option(help="Then shrink the mask by this many pixels.")]
Feather = Annotated[int, typer.Option(help="Fade edges inwards over this many pixels.")]
