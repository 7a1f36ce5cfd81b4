"""Options of all commands that decode many photos, in the same words."""

from __future__ import annotations

from typing import Annotated

import typer

FastDecode = Annotated[
    bool,
    typer.Option(
        "--fast-decode",
        help="Decode large JPEGs at 1/2, 1/4 or 1/8, still twice what the network sees. Labels are of the "
        "photo's size; on photos of 7 to 11 megapixels 99.6% of lite-atr's are the same, 98.3% of people's.",
    ),
]
