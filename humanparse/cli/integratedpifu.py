"""`humanparse integratedpifu`: the part maps that IntegratedPIFu takes."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from ..options import ParserOptions
from .label import Batch, Journal, Restart, Resume, RetryFailed, Workers, finish, watched
from .options import Quiet, with_parser_options


@with_parser_options(model="schp-pascal")
def integratedpifu(
    root: Annotated[
        str,
        typer.Option(
            "--integratedpifu-dir",
            help="Folder with train_set_list.txt, test_set_list.txt and the pictures, or s3://….",
        ),
    ],
    dest: Annotated[
        str, typer.Option("--output-dir", "-o", help="Folder for the maps, or s3://….")
    ] = "render_human_parse_results",
    split: Annotated[str, typer.Option(help="Subjects to label: train, test or both.")] = "both",
    approximate: Annotated[
        bool,
        typer.Option("--approximate", help="Accept labels that do not distinguish upper from lower limbs."),
    ] = False,
    resume: Resume = False,
    restart: Restart = False,
    retry_failed: RetryFailed = False,
    journal: Journal = None,
    batch: Batch = 8,
    workers: Workers = None,
    quiet: Quiet = False,
    *,
    options: ParserOptions,
) -> None:
    """Write part maps for IntegratedPIFu: float32 .npy, 0 and 0.5 to 1.0, with the names its code expects."""
    from .. import bulk
    from ..bulk.integratedpifu import label_subjects

    work = partial(
        label_subjects,
        root,
        dest,
        model=options,
        split=split,  # type: ignore[arg-type]  # checked there
        approximate=approximate,
        batch=batch,
    )
    how = bulk.RunOptions(resume, restart, retry_failed, workers, journal=journal)
    finish(watched(lambda how: work(options=how), how, quiet), dest, quiet)
