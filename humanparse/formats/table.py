"""The table of formats: their names, how they are written and read, and what they need.

Everything that writes labels uses it: `Parsing.save`, `encode` and `export`, `humanparse predict` and
`label`, and the service. To add a format, add a line to `FORMATS` with its writer, and a reader if its files
store enough.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import FormatError, SchemeError
from ..schemes import LabelScheme
from .exchange import CIHP_FILES, write_cihp, write_coco, write_labelme, write_mhp
from .label_files import read_json, read_npz, read_png, write_json, write_npz, write_png
from .pictures import overlay_png
from .record import Photo, Record, check_labels


@dataclass(frozen=True)
class Format:
    """A format for the labels of a photo, with one file per photo or several.

    Attributes:
        kind: its name in `Parsing.encode`, `--format` and the service's `format`.
        holds: its content, in a few words.
        ending: the end of the file's name, after the photo's stem; "" for several files.
        writer: returns the content of the one file.
        reader: the inverse; None if files store too little for that. `Parsing.save` only writes formats with
            a reader.
        media_type: media type of the one file.
        confidence: whether it stores confidence, which is computed only for such formats.
        shows_photo: whether the photo's pixels are needed.
        needs_people: whether it only has people, and is empty if they were not told apart.
        several: returns name -> content of several files. Names begin with the photo's stem, or with a folder
            and the stem.
        always: names of those of several files that every photo has, with `*` for its stem.
    """

    kind: str
    holds: str
    ending: str = ""
    writer: Callable[[Record, Photo], bytes] | None = None
    reader: Callable[[Path, LabelScheme | None], Record] | None = None
    media_type: str = "application/octet-stream"
    confidence: bool = False
    shows_photo: bool = False
    needs_people: bool = False
    several: Callable[[Record, str], dict[str, bytes]] | None = None
    always: tuple[str, ...] = ()

    @property
    def one_file(self) -> bool:
        """Whether it has one file per photo, as `Parsing.encode` needs."""
        return self.writer is not None

    @property
    def of_any_photo(self) -> bool:
        """Whether it has one file for any photo, as `humanparse label` and the service need."""
        return self.one_file and not self.needs_people

    def names(self, stem: str) -> list[str]:
        """Names of the files that every photo has, relative to their folder."""
        if self.one_file:
            return [f"{stem}{self.ending}"]
        return [name.replace("*", stem) for name in self.always]

    def contents(self, record: Record, stem: str, photo: Photo) -> dict[str, bytes]:
        """Name relative to the folder -> content of all files; raises the errors of `encode`."""
        if self.several is None:
            return {f"{stem}{self.ending}": self.encode(record, photo)}
        self._refuse_empty(record)
        return self.several(record, stem)

    def encode(self, record: Record, photo: Photo) -> bytes:
        """The content of its one file.

        Raises:
            FormatError: there are no pixels, or the photo is needed and missing.
        """
        assert self.writer is not None
        self._refuse_empty(record)
        return self.writer(record, photo)

    def read(self, path: Path, scheme: LabelScheme | None = None) -> Record:
        """Read a file; see `formats.read`."""
        assert self.reader is not None
        try:
            record = self.reader(path, scheme)
        except FormatError:
            raise
        except Exception as error:  # decoders raise many kinds of errors
            raise FormatError(f"{path}: not a readable label file ({error})") from error
        if scheme is not None:
            renamed = tuple(replace(person, scheme=scheme) for person in record.people)
            record = replace(record, scheme=scheme, people=renamed)
        try:
            for labels in (record.labels, *(person.labels for person in record.people)):
                check_labels(labels, record.scheme)
        except SchemeError as error:
            raise FormatError(f"{path}: {error}") from error
        return record

    def _refuse_empty(self, record: Record) -> None:
        if not record.labels.size:
            raise FormatError(
                f"labels of shape {record.labels.shape} hold no pixel; there is nothing to encode"
            )


_JSON = "application/json"

FORMATS: Mapping[str, Format] = {
    one.kind: one
    for one in (
        Format("png", "label numbers, P mode, PASCAL-VOC palette", ".png", write_png, read_png, "image/png"),
        Format("npz", "everything as arrays", ".npz", write_npz, read_npz, confidence=True),
        Format("json", "parts and people with boxes and run lengths", ".json", write_json, read_json, _JSON),
        Format(
            "overlay",
            "the photo with its parts tinted",
            "_overlay.png",
            overlay_png,
            media_type="image/png",
            shows_photo=True,
        ),
        Format("coco", "COCO's run lengths of parts and people", ".coco.json", write_coco, media_type=_JSON),
        Format("labelme", "LabelMe's masks of parts", ".labelme.json", write_labelme, media_type=_JSON),
        Format(
            "cihp",
            "CIHP's submission, and M-CE2P's for LV-MHP",
            several=write_cihp,
            always=CIHP_FILES,
            needs_people=True,
        ),
        Format("mhp", "a label PNG per person, as LV-MHP has", several=write_mhp, needs_people=True),
    )
}
"""Kind -> format."""


def find(kind: str, fits: Callable[[Format], bool] = lambda one: True) -> Format:
    """The format with a name.

    Args:
        kind: its name.
        fits: returns whether a format is allowed.

    Raises:
        FormatError: no allowed format has this name; the message lists the allowed ones.
    """
    if kind in FORMATS and fits(FORMATS[kind]):
        return FORMATS[kind]
    known = ", ".join(one.kind for one in FORMATS.values() if fits(one))
    raise FormatError(f"there is no format {kind!r} here; use {known}")
