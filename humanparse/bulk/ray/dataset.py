"""Labels as columns of a Ray Data dataset."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ... import hub, image
from ...addresses import distinct
from ...errors import BulkError, HumanParseError
from ...options import ParserOptions
from ...pipelines.lanes import shares
from ...registry import DEFAULT, FAMILIES
from ...remote import is_remote
from ..items import Content, JournalRow, Listing, Source
from ..labeller import Labeller, Photo, finished
from ..naming import key_of_path, key_of_url
from ..pipeline import default_workers
from ..settings import Settings
from ..sources import decoded
from ..tables import picture_in
from ..writers import PACKED, encoded
from .cluster import import_ray, workers_for
from .worker import settle

if TYPE_CHECKING:
    from ...results import Parsing

_COLUMNS = {
    "labels": "binary",
    "height": "int32",
    "width": "int32",
    "parts": "string",
    "confidence": "float64",
    "person_share": "float64",
    "unsure_share": "float64",
    "error": "string",
}
"""Name of an added column -> pyarrow's name of its type."""


def label_dataset(
    ds: Any,
    dest: str | Path | None = None,
    *,
    model: str | ParserOptions = DEFAULT,
    settings: Settings | None = None,
    image_column: str = "image",
    key_column: str | None = None,
    prefix: str = "",
    concurrency: int | None = None,
    gpus_per_worker: float | None = None,
) -> Any:
    """Add labels to a dataset, lazily: nothing is done before the result is read or written.

    Takes encoded pictures, as in `read_binary_files` and most Parquet files, or decoded ones, as in
    `ray.data.read_images` and `read_webdataset` (where the column is named by the suffix, such as `"jpg"`).
    Prefer encoded ones: `read_images` and the decoder of `read_webdataset` (turn it off with `decoder=None`)
    fail at the first broken picture, and do not turn photos upright.

    Each row keeps its columns, and gets
        - `labels`: a P-mode PNG, as `Parsing.save` writes it;
        - `height`, `width`: of the picture, in pixels;
        - `parts`: JSON, part -> its share (0-1) of the picture;
        - `confidence`, `person_share`, `unsure_share`: see `bulk.items.Statistics`;
        - `error`: "", or the reason why there are no labels; then all other new columns are null.

    A broken picture never ends the execution. Ray Data replaces workers that die and repeats their inputs
    endlessly; if an input kills every worker, use `label` with `Cluster`, which records it as failed.

    There is no journal. To resume an execution that was killed, use Ray Data's own checkpoints, if the
    installed Ray has them: give rows an id, set `ray.data.DataContext.get_current().checkpoint_config` to a
    `ray.data.checkpoint.CheckpointConfig` before the dataset is made, and end with a `write_...`. They need
    CPUs, too: with two in all, Ray 2.60 waited forever; with four it finished.

    Ray Data decides which rows go through the network together, which affects the last bits of float sums.
    With `Settings(batch=1)` the bytes are those of a run of `label` with that setting.

    Args:
        ds: a `ray.data.Dataset`.
        dest: also write files there, named by `key_column`, in `settings.formats`; None writes none.
        model: a name, or `ParserOptions`; it is loaded once in each worker.
        settings: batch, formats and the like; None: `Settings()`.
        image_column: column of encoded pictures (bytes, or a struct of bytes and path), arrays (H, W, 3),
            (H, W, 4) or (H, W), PIL images, or paths or URLs (str).
        key_column: column with a different path, URL or key in each row; outputs are named `<key>.png`, where
            a path loses its suffix and the `/` at its beginning.
        prefix: beginning of the names of the added columns.
        concurrency: number of workers; None: as many as the GPUs allow or, on CPUs, as fit into half of the
            cluster, because reading needs CPUs, too.
        gpus_per_worker: GPUs of each worker; with a fraction, workers share one. None: 1 if the cluster has
            GPUs and the model may run there, else 0.

    Returns:
        A `ray.data.Dataset`.

    Raises:
        BulkError: `dest` is given without `key_column`, or a format needs a run's journal; or the cluster has
            no room. When Ray executes the dataset: a column is missing or exists already, `dest` cannot be
            written to, or the network fails on everything.
    """
    import torch

    ray = import_ray()
    asked = settings or Settings()
    if dest is not None and key_column is None:
        raise BulkError("say which column names the outputs in dest, with key_column")
    if dest is not None and any(name in PACKED for name in asked.formats):
        raise BulkError("packs need a run of `label`; write the dataset itself, with write_parquet for one")
    options = ParserOptions.of(model)
    gpus = _gpus(ray, options, gpus_per_worker)
    if options.device == "auto":
        options = replace(options, device="cuda" if gpus else "cpu")
    networks = hub.find_model(options.model, offline=options.offline).networks().values()
    small = all(FAMILIES[each.family].small for each in networks)
    threads = shares(small, torch.device(options.device))[1]
    count, share = workers_for(ray, concurrency, gpus, threads, beside=True)
    where = dest if dest is None or is_remote(str(dest)) else Path(dest).absolute()
    rows = Rows(options, asked, where, image_column, key_column, prefix, Path.cwd(), threads)
    return ds.map_batches(
        LabelRows,
        fn_constructor_args=(rows,),
        batch_size=asked.batch,
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(size=count),
        **({"num_gpus": gpus} if gpus else {"num_cpus": share}),
    )


def _gpus(ray: Any, options: ParserOptions, asked: float | None) -> float:
    if asked is not None:
        return asked
    wanted = options.device == "auto" or options.device.startswith("cuda")
    return float(wanted and ray.cluster_resources().get("GPU", 0) > 0)


@dataclass(frozen=True)
class Rows:
    """What a worker must know about a dataset; see `label_dataset` and `worker.Task`."""

    model: ParserOptions
    settings: Settings
    dest: str | Path | None
    image_column: str
    key_column: str | None
    prefix: str
    folder: Path
    threads: int


class Pictures(Source):
    """The pictures of one batch of rows as a source."""

    def __init__(self, values: Sequence[Any]) -> None:
        self._values = values

    def listing(self) -> list[Listing]:
        """Empty: pictures are read by their position in the batch."""
        return []

    def read(self, found: Listing) -> Content:
        """Decode a picture."""
        value = picture_in(self._values[found.start], found.place)
        return decoded(value, found.place) if isinstance(value, bytes) else Content(image.load(value))

    def photo(self, found: Listing) -> Path | str:
        """The path or address in a picture's row, or else its key."""
        value = self._values[found.start]
        name = value if isinstance(value, str) else found.place
        return Path(name) if "://" not in name and os.path.isfile(name) else name


class LabelRows:
    """Adds columns to batches of rows; see `label_dataset`."""

    def __init__(self, rows: Rows) -> None:
        from ...parser import Parser

        settle(rows.folder, rows.threads)
        self._rows = rows
        self._parser = Parser.of(rows.model, progress=False)
        self._settings = rows.settings.fitted(self._parser)
        self._files = ThreadPoolExecutor(default_workers())

    def __call__(self, table: Any) -> Any:
        """The pyarrow table with `_COLUMNS` added."""
        import pyarrow

        rows, names = self._rows, table.column_names
        added = [rows.prefix + name for name in _COLUMNS]
        for name in (rows.image_column, *([rows.key_column] if rows.key_column else [])):
            if name not in names:
                raise BulkError(f"no column {name!r} among {', '.join(names)}; see image_column, key_column")
        if clash := sorted(set(added) & set(names)):
            raise BulkError(f"there are columns {', '.join(clash)} already; give new ones another prefix")
        found = self._label(table)
        for name, kind in _COLUMNS.items():
            values = pyarrow.array([row.get(name) for row in found], pyarrow.type_for_alias(kind))
            table = table.append_column(rows.prefix + name, values)
        return table

    def _label(self, table: Any) -> list[dict[str, Any]]:
        """The new columns of each row; missing ones are null."""
        rows = self._rows
        pictures = Pictures([value.as_py() for value in table.column(rows.image_column)])
        dest = rows.dest or rows.folder  # nothing is written there without a dest
        labeller = Labeller(self._parser, pictures, self._settings, dest, None)
        keys = table.column(rows.key_column).to_pylist() if rows.key_column else [None] * table.num_rows
        items = [JournalRow(number, _found(number, key)) for number, key in enumerate(keys)]
        photos = list(self._files.map(labeller.read, items))
        parsings = labeller.parse(photos)
        return list(self._files.map(self._row, [labeller] * len(photos), photos, parsings))

    def _row(self, labeller: Labeller, photo: Photo, parsing: Parsing | str) -> dict[str, Any]:
        if isinstance(parsing, str) or photo.content is None:
            return {"error": str(parsing)}
        try:
            final, seen = finished(parsing, self._settings)
        except HumanParseError as error:
            return {"error": str(error)}
        if self._rows.dest is not None:
            if not photo.item.found.key:
                return {"error": f"{self._rows.key_column} is empty, so its files have no name"}
            labeller.save(photo.item, photo.content, final)
        return {"labels": encoded("png", final), **asdict(seen), "parts": json.dumps(seen.parts), "error": ""}


def _found(number: int, key: Any) -> Listing:
    if key in (None, ""):
        return Listing(f"row {number} of its batch", "", number)
    place = str(key)
    if "://" in place:
        return Listing(distinct(place.strip()), key_of_url(place.strip()), number)
    return Listing(place, key_of_path(place), number)
