"""`humanparse predict`: photos -> label maps and pictures."""

from __future__ import annotations

import glob
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import unquote, urlsplit

import typer

from ..durable import replacing
from ..errors import FormatError, ImageError, PeopleError
from .cleaning import Fill, MinArea
from .console import err, out, report, with_progress
from .people import PeopleFile
from .video import VideoEvery, VideoLabels, read_films

if TYPE_CHECKING:
    from ..cleaning import Cleaning
    from ..parser import Parser

SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".jfif", ".mpo", ".ppm")
)


@dataclass(frozen=True)
class _Wanted:
    """What is written for each photo."""

    overlay: bool
    legend: bool
    json: bool
    npz: bool
    formats: tuple[str, ...] = ()

    def outputs(self, job: _Job) -> dict[str, Path]:
        """Kind of file -> path."""
        asked = {"png": True, "overlay": self.overlay, "json": self.json, "npz": self.npz}
        endings = {"png": ".png", "overlay": "_overlay.png", "json": ".json", "npz": ".npz"}
        return {kind: job.folder / f"{job.stem}{endings[kind]}" for kind in asked if asked[kind]}

    def exports(self, job: _Job) -> list[Path]:
        """Files in formats of others, as far as they are known beforehand."""
        from ..formats import export_names

        return [job.folder / name for kind in self.formats for name in export_names(kind, job.stem)]


@dataclass(frozen=True)
class _Job:
    """One input, and where its results go."""

    source: str
    folder: Path

    @property
    def stem(self) -> str:
        if _is_url(self.source):
            return Path(unquote(urlsplit(self.source).path)).stem or "image"
        return Path(self.source).stem


def predict(
    context: typer.Context,
    images: Annotated[
        list[str],
        typer.Argument(help="Files, folders, globs or URLs of photos; or videos.", show_default=False),
    ],
    model: Annotated[str, typer.Option("-m", "--model", help="See `humanparse models`.")] = "tiny-atr",
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Folder for the results, or a video.")
    ] = Path("parsed"),
    overlay: Annotated[bool, typer.Option("--overlay", help="Also the photo with its parts tinted.")] = False,
    legend: Annotated[bool, typer.Option("--legend", help="Add names to the overlay (implies it).")] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Also a list of parts with boxes and RLE masks.")
    ] = False,
    npz: Annotated[bool, typer.Option("--npz", help="Also labels and confidence as arrays.")] = False,
    people: Annotated[
        str | None,
        typer.Option(
            help="Tell people apart: 'detect', or a JSON file with boxes, COCO results or a COCO data set.",
            show_default=False,
        ),
    ] = None,
    formats: Annotated[
        list[str] | None,
        typer.Option("--format", help="Also coco or labelme, or people as cihp or mhp.", show_default=False),
    ] = None,
    weights: Annotated[
        list[str] | None,
        typer.Option(help="A checkpoint file of your own; ROLE=FILE for one of several.", show_default=False),
    ] = None,
    detector: Annotated[
        str, typer.Option(help="Finds people for --people detect.")
    ] = "maskrcnn_resnet50_fpn_v2",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, float32, bf16 or fp16.")] = "auto",
    runtime: Annotated[str, typer.Option(help="torch, onnxruntime or openvino.")] = "torch",
    flip: Annotated[
        bool | None,
        typer.Option("--flip/--no-flip", help="Average with the mirrored photo.", show_default=False),
    ] = None,
    labels: VideoLabels = None,
    min_area: MinArea = "0",
    fill: Fill = "0",
    smooth: Annotated[
        str | None,
        typer.Option(
            help="Radius in pixels to which borders are smoothed; of a video, against flicker: exponential or "
            "flow (better).",
            show_default=False,
        ),
    ] = None,
    every: VideoEvery = 1,
    offline: Annotated[bool, typer.Option("--offline", help="Never use the network for weights.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No progress, errors only.")] = False,
) -> None:
    """Label every pixel: writes DIR/<stem>.png (label numbers, colour palette), and what else you ask for.

    Of a video, one with its parts tinted, and with --labels one of label numbers.
    """
    wanted = _Wanted(overlay or legend, legend, json, npz, tuple(formats or ()))
    origin = context.get_parameter_source("output")
    chosen = None if origin is not None and origin.name == "DEFAULT" else output
    from .. import ensembles
    from ..cleaning import Cleaning

    radius = smooth if smooth is not None and smooth.lstrip("-").isdigit() else None
    cleaning = Cleaning(min_area, fill, int(radius or 0))
    films = read_films(images, chosen, labels, smooth if radius is None else None, every)
    if films is not None:
        films.refuse(
            **{"min-area": cleaning.min_area, "fill": cleaning.fill, "smooth PIXELS": radius},
            **{"json": json, "npz": npz, "legend": legend, "people": people, "format": formats},
        )
    jobs = [_Job(source, output) for source in _sources(images)] if films is None else []
    _refuse_clashes(jobs, wanted)
    where = _people(people, len(jobs))
    _refuse_nobody(model, people, wanted)
    from ..parser import Parser

    cleaning.check(ensembles.get(model).scheme)
    parser = Parser(
        model,
        weights=read_weights(weights),
        detector=detector,
        device=device,
        precision=precision,  # type: ignore[arg-type]  # Parser checks it
        runtime=runtime,  # type: ignore[arg-type]  # likewise
        flip=flip,
        offline=offline or None,
        progress=False if quiet else None,
    )
    if not quiet:
        err.print(repr(parser), highlight=False, markup=False, soft_wrap=True)
    if films is not None:
        return films.parse(parser, quiet, context.obj)
    _make_folder(output)
    failures = 0
    for job in with_progress(jobs, "parsing", quiet):
        try:
            mine = where.of(job.source) if isinstance(where, PeopleFile) else where
            _run(parser, job, wanted, mine, cleaning)
        except Exception as error:  # whatever one photo meets, the others are parsed
            failures += 1
            report(error, debug=context.obj, about=job.source)
    if not quiet:
        done = f"{len(jobs) - failures} of {len(jobs)} parsed, results in {output}"
        out.print(done, highlight=False, markup=False, soft_wrap=True)
    if failures:
        raise typer.Exit(1)


def _people(asked: str | None, photos: int) -> PeopleFile | str | None:
    if asked is None or asked == "detect":
        return asked
    if not Path(asked).is_file():
        raise PeopleError(f"--people is 'detect' or a JSON file, and there is no file {asked}")
    return PeopleFile(Path(asked), photos)


def _refuse_nobody(model: str, people: str | None, wanted: _Wanted) -> None:
    from .. import ensembles

    needy = [kind for kind in wanted.formats if kind not in ("coco", "labelme")]
    spec = ensembles.get(model)
    finds = isinstance(spec, ensembles.EnsembleSpec) or spec.decode is not None
    if needy and people is None and not finds:
        raise PeopleError(
            f"--format {needy[0]} is for people: add --people detect or --people FILE.json, or take "
            "a model that finds them, such as schp-cihp"
        )


def read_weights(given: list[str] | None) -> Any:
    """`FILE`, or `ROLE=FILE` for each of several networks."""
    if given and all("=" in one and not Path(one).exists() for one in given):
        return dict(one.split("=", 1) for one in given)
    if given and len(given) > 1:
        raise FormatError(
            f"--weights is given {len(given)} times; say which is which: --weights global=FILE …"
        )
    return given[0] if given else None


def _run(parser: Parser, job: _Job, wanted: _Wanted, people: Any, cleaning: Cleaning) -> None:
    from ..image import load

    photo = load(job.source)
    found = parser.predict(photo, people=people, confidence=wanted.npz)
    parsing = found.cleaned(**cleaning.words())
    for kind in wanted.formats:
        parsing.export(kind, job.folder, job.stem)
    for kind, path in wanted.outputs(job).items():
        if kind != "overlay":
            parsing.save(path)
            continue
        try:
            with replacing(path) as part:
                parsing.overlay(photo, legend=wanted.legend).save(part, format="PNG")
        except OSError as error:
            raise FormatError(f"cannot write {path}: {error.strerror or error}") from error


def _is_url(source: str) -> bool:
    return "://" in source  # `image.load` says which kinds it takes


def _sources(arguments: list[str]) -> list[str]:
    found: list[str] = []
    for argument in arguments:
        path = Path(argument)
        if _is_url(argument) or path.is_file():
            found.append(argument)
        elif path.is_dir():
            inside = sorted(str(file) for file in path.iterdir() if file.suffix.lower() in SUFFIXES)
            if not inside:
                raise ImageError(f"{argument}: no pictures in this folder ({', '.join(sorted(SUFFIXES))})")
            found += inside
        elif glob.has_magic(argument):
            matches = sorted(file for file in glob.glob(argument, recursive=True) if Path(file).is_file())
            if not matches:
                raise ImageError(f"{argument}: nothing matches this pattern")
            found += matches
        else:
            raise ImageError(f"{argument}: no such file or folder; check the spelling")
    return found


def _refuse_clashes(jobs: list[_Job], wanted: _Wanted) -> None:
    inputs = {Path(job.source).resolve() for job in jobs if Path(job.source).is_file()}
    owners: dict[Path, str] = {}
    for job in jobs:
        for path in (*wanted.outputs(job).values(), *wanted.exports(job)):
            if path.resolve() in inputs:
                raise FormatError(f"{path} is itself an input; choose another folder with -o")
            if owners.get(path) == job.source:
                raise FormatError(f"{job.source} is given twice; name it once")
            if path in owners:
                raise FormatError(
                    f"{owners[path]} and {job.source} would both write {path}; rename one or use two folders"
                )
            owners[path] = job.source


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FormatError(
            f"cannot make the folder {folder}: {error.strerror}; choose another with -o"
        ) from error
    if not os.access(folder, os.W_OK):
        raise FormatError(f"the folder {folder} cannot be written to; choose another with -o")
