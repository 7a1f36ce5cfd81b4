"""Options of all commands that parse many photos, in the same words."""

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

Processes = Annotated[
    int | None,
    typer.Option(
        help="Share the work out among so many processes of this machine, each with its model and its share "
        "of the threads; for small models on many cores, or on a busy machine.",
        show_default=False,
    ),
]
