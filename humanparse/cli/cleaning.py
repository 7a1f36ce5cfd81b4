"""Options of all commands that clean labels or edge masks, in the same words."""

from __future__ import annotations

from typing import Annotated

import typer

MinArea = Annotated[
    str,
    typer.Option(help="Islands smaller than that take the label they touch most: pixels, or 0.1%."),
]
Fill = Annotated[str, typer.Option(help="Holes inside a part up to that are filled: pixels, or 0.1%.")]
Smooth = Annotated[int, typer.Option(help="Radius in pixels to which borders are smoothed.")]
Grow = Annotated[int, typer.Option(help="Pixels by which the mask grows.")]
Shrink = Annotated[int, typer.Option(help="Pixels by which the mask then shrinks.")]
Feather = Annotated[int, typer.Option(help="Pixels over which edges fade inwards.")]
