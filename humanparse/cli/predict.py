"""`humanparse predict`: photos -> label maps and pictures."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer

from .. import hub, registry
from ..errors import FormatError, PeopleError
from ..formats import FORMATS
from ..options import ParserOptions
from ..remote import is_remote
from .console import report, say, tell, with_progress
from .options import Fill, MinArea, Processes, Quiet, optional, with_parser_options
from .people_file import PeopleFile
from .photos import find_photos, make_folder, named
from .results import Wanted, write_in_processes, write_results
from .video import VideoEvery, VideoLabels, read_films


@with_parser_options()
def predict(
    context: typer.Context,
    images: Annotated[
        list[str],
        typer.Argument(
            help="Files, folders, globs or URLs of photos, - for standard input; or videos.",
            show_default=False,
        ),
    ],
    output: Annotated[
        str,
        typer.Option("-o", "--output", help="Folder for the results, also in a bucket (s3://…); or a video."),
    ] = "parsed",
    overlay: Annotated[
        bool, typer.Option("--overlay", help="Also write the photo with tinted parts.")
    ] = False,
    legend: Annotated[
        bool, typer.Option("--legend", help="Add part names to the overlay (implies --overlay).")
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Also write parts with boxes and RLE masks as JSON.")
    ] = False,
    npz: Annotated[bool, typer.Option("--npz", help="Also write labels and confidence as arrays.")] = False,
    people: Annotated[
        str | None,
        optional(
            help="Tell people apart: 'detect', or a JSON file with boxes, COCO results or a COCO data set."
        ),
    ] = None,
    formats: Annotated[
        list[str] | None, optional("--format", help=f"Also write one of {', '.join(FORMATS)}.")
    ] = None,
    labels: VideoLabels = None,
    min_area: MinArea = "0",
    fill: Fill = "0",
    smooth: Annotated[
        str | None,
        optional(
            help="Smooth borders within this radius in pixels; for a video, against flicker: exponential or "
            "flow (better)."
        ),
    ] = None,
    every: VideoEvery = 1,
    processes: Processes = None,
    quiet: Quiet = False,
    *,
    options: ParserOptions,
) -> None:
    """Label every pixel: writes DIR/<stem>.png (label numbers, colour palette), and what else you ask for.

    For a video, writes a video with tinted parts, and with --labels one of label numbers.
    """
    origin = context.get_parameter_source("output")
    folder = output if is_remote(output) else Path(output)
    chosen = None if origin is not None and origin.name == "DEFAULT" else folder
    from ..cleaning import Cleaning

    radius = smooth if smooth is not None and smooth.lstrip("-").isdigit() else None
    cleaning = Cleaning(min_area, fill, int(radius or 0))
    films = read_films(images, chosen, labels, smooth if radius is None else None, every)
    if films is not None:
        given = people not in (None, "detect")
        films.refuse(
            **{"min-area": cleaning.min_area, "fill": cleaning.fill, "smooth PIXELS": radius},
            **{"json": json, "npz": npz, "legend": legend, "people FILE": given, "format": formats},
            **{"processes": processes, "fast-decode": options.fast_decode},
        )
    asked = {"png": True, "overlay": overlay or legend, "json": json, "npz": npz}
    kinds = dict.fromkeys([*(kind for kind in asked if asked[kind]), *(formats or ())])
    wanted = Wanted(cleaning, tuple(kinds), legend)
    told = (lambda line: None) if quiet else tell
    jobs = named(find_photos(images, told, output), folder, wanted.files) if films is None else []
    wanted = replace(wanted, people=_people(people, len(jobs)))
    spec = hub.find_model(options.model, offline=options.offline)
    _refuse_nobody(spec, people, wanted)
    cleaning.check(spec.scheme)
    from .. import bulk
    from ..bulk.pipeline import default_workers
    from ..parser import Parser

    if options.fast_decode and wanted.shows_photo:
        raise FormatError("an overlay shows the whole photo; leave --fast-decode or the overlay out")
    if processes is not None:
        bulk.Processes(processes)  # checks the number
    load = partial(Parser.of, options)
    parser = load(progress=False if quiet else None)
    if not quiet:
        tell(repr(parser))
    if films is not None:
        return films.parse(parser, quiet, context.obj, detect=people == "detect")
    make_folder(folder)
    failures = 0
    threads = default_workers()
    if processes is None:
        results = write_results(parser, wanted, threads, jobs)
    else:
        results = write_in_processes(partial(load, progress=False), wanted, threads, jobs, processes)
    with closing(results) as errors:
        for job, error in zip(with_progress(jobs, "parsing", quiet), errors, strict=True):
            if error is not None:
                failures += 1
                report(error, debug=context.obj, about=job.source)
    if not quiet:
        say(f"{len(jobs) - failures} of {len(jobs)} parsed, results in {output}")
    if failures:
        raise typer.Exit(1)


def _people(asked: str | None, photos: int) -> PeopleFile | Literal["detect"] | None:
    if asked is None:
        return None
    if asked == "detect":
        return "detect"
    if not Path(asked).is_file():
        raise PeopleError(f"--people is 'detect' or a JSON file, and there is no file {asked}")
    return PeopleFile(Path(asked), photos)


def _refuse_nobody(spec: registry.Spec, people: str | None, wanted: Wanted) -> None:
    needy = [one.kind for one in wanted.formats() if one.needs_people]
    if needy and people is None and not spec.finds_people:
        raise PeopleError(
            f"--format {needy[0]} is for people: add --people detect or --people FILE.json, or take "
            "a model that finds them, such as schp-cihp"
        )
