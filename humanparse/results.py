"""`Parsing`: what a photo's pixels are, and whose, as a value."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from . import formats, render
from .arrays import Labels, Mask
from .cleaning import Area, Cleaning
from .errors import FormatError, SchemeError
from .image import load as load_image
from .ops.touching import touching_label
from .people import Part as Part
from .people import Person as Person
from .people import find_parts
from .schemes import IGNORE, Remap, Rgb, find_remap, get_scheme


@dataclass(frozen=True, eq=False)
class Parsing(formats.Record):
    """The labels of one photo.

    Attributes:
        labels: uint8 (H, W), numbers of `scheme`; 255 is "no statement" and appears only after some remaps.
        scheme: what the numbers mean.
        model: name of the model that made them.
        confidence: float16 (H, W), softmax probability (0-1) of each pixel's label; None unless asked for.
        logits: float32 (C, h, w) before softmax, at the network's own grid, or the mean at input size when
            several scales were used; None unless asked for.
        people: who is there, by falling score; empty where nobody was looked for.
        cleaning: how the labels were cleaned, the first step first; files log it.

    Examples:
        >>> from humanparse import Parser
        >>> parsing = Parser().predict("examples/grace_hopper.jpg")
        >>> parsing.mask("Face").shape
        (600, 512)
    """

    def __post_init__(self) -> None:
        formats.check_labels(self.labels, self.scheme)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.labels.shape[0], self.labels.shape[1]

    def mask(self, *labels: str | int) -> Mask:
        """Where any of these labels is.

        Args:
            labels: names (any case), numbers, groups such as `"clothes"` or `"skin"`, or both sides of a part
                such as `"arms"`; see `LabelScheme.members`.

        Returns:
            bool (H, W).

        Raises:
            SchemeError: the scheme has no such label or group; the message lists them.
        """
        return np.isin(self.labels, self.scheme.members(*labels))

    def parts(self, background: bool = False) -> list[Part]:
        """The parts that are there, by label number.

        Args:
            background: whether the background is listed too.
        """
        skipped = None if background else self.scheme.background
        return find_parts(self.labels, self.scheme, skipped, self.labels.size)

    def remap(self, target: str | Mapping[str | int, str | int], approximate: bool = False) -> Parsing:
        """The same picture in another label scheme; confidence, logits and part scores do not carry over.

        `remap_targets(parsing.scheme)` lists the schemes that can be reached; docs/labels.md has a table of
        all remaps, of the labels without exact counterpart, and of what `approximate` does with them. The
        error for such labels says it, too.

        Args:
            target: a scheme's key, or a mapping from labels (names or numbers) to new names, or to new
                numbers.
            approximate: accept counterparts that are not exact.

        Raises:
            SchemeError: no table leads there, or the picture holds labels without an exact counterpart; the
                message lists them.
        """
        remap = find_remap(self.scheme, target)
        self._refuse_inexact(remap, approximate)
        table = np.full(256, IGNORE, dtype=np.uint8)
        table[: len(remap.table)] = [IGNORE if goal is None else goal for goal in remap.table]
        labels = table[self.labels]
        for label, candidates in remap.touching:
            blobs = self.labels == label
            if blobs.any():
                labels[blobs] = touching_label(blobs, labels, candidates, IGNORE)[blobs]
        people = tuple(
            replace(self._relabelled(person, labels, table), scheme=remap.target, part_scores={})
            for person in self.people
        )
        return Parsing(labels, remap.target, self.model, people=people, cleaning=self.cleaning)

    def cleaned(self, min_area: Area = 0, fill: Area = 0, smooth: int = 0) -> Parsing:
        """The same parsing with smooth borders, without specks and pinholes; nothing changes by default.

            parsing.cleaned(min_area="0.05%", fill=200, smooth=3)

        People keep their number, box, score and silhouette, and get the cleaned labels where the picture
        shows them. Confidence, logits and part scores stay those of the labels that the network gave.

        Args:
            min_area: islands with fewer pixels take the label that they touch most: pixels, or a share of
                the picture such as `"0.1%"`.
            fill: holes of at most so many pixels (or `"0.1%"`) inside a part take its label.
            smooth: rows and columns within which a pixel takes the label that weighs most around it.
                `Cleaning` defines all three; smoothing is done first, filling last.

        Returns:
            The parsing itself, if its last cleaning was the same one.

        Raises:
            ModelError: a value is out of range.
            SchemeError: holes are to be filled, but the scheme has no background.
        """
        step = Cleaning(min_area, fill, smooth, self.scheme.key)
        if not step or self.cleaning[-1:] == (step,):
            return self
        labels = step.applied(self.labels, self.scheme)
        same = np.arange(256, dtype=np.uint8)
        people = tuple(self._relabelled(person, labels, same) for person in self.people)
        return replace(self, labels=labels, people=people, cleaning=(*self.cleaning, step))

    def _relabelled(self, person: Person, labels: Labels, table: npt.NDArray[np.uint8]) -> Person:
        """A person after the picture's labels changed: the picture's where it shows them, else by `table`."""
        x0, y0, x1, y1 = person.box
        seen = person.silhouette & (self.labels[y0:y1, x0:x1] == person.labels)
        mine = np.where(seen, labels[y0:y1, x0:x1], np.where(person.silhouette, table[person.labels], 0))
        return replace(person, labels=mine.astype(np.uint8))

    def _refuse_inexact(self, remap: Remap, approximate: bool) -> None:
        present = [label for label in np.unique(self.labels).tolist() if label != IGNORE]
        loose = [label for label in present if label in remap.inexact]
        lost = [label for label in present if remap.table[label] is None and label not in remap.inexact]
        if lost:
            names = ", ".join(self.scheme.name(label) for label in lost)
            raise SchemeError(f"the mapping says nothing of these labels: {names}; add them")
        if loose and not approximate:
            names = ", ".join(self.scheme.name(label) for label in loose)
            raise SchemeError(
                f"{self.scheme.key} -> {remap.target.key}: no exact counterpart for {names}. "
                f"With approximate=True: {remap.note}."
            )

    def colorize(self, palette: str | tuple[Rgb, ...] = "display") -> Image.Image:
        """Each label in its colour, as an RGB picture; see `render.colorize`."""
        return render.colorize(self.labels, self.scheme, palette)

    def overlay(
        self, image: Any, alpha: float = 0.6, legend: bool = False, palette: str | tuple[Rgb, ...] = "display"
    ) -> Image.Image:
        """The photo with its parts tinted and contoured, and its people outlined and numbered.

        Args:
            image: the photo that was parsed, in any form `Parser.predict` takes.
            alpha: 0 (photo only) to 1 (colour only).
            legend: add a panel with colour, name and share of each part, and the people.
            palette: `"display"`, `"voc"` (the colours of label PNGs, without contours), another of the
                scheme's palettes, or RGB triples.

        Raises:
            ImageError: the photo cannot be read.
            SchemeError: it has another size, or alpha or the palette is unusable.
        """
        photo = load_image(image)
        return render.overlay(photo, self.labels, self.scheme, alpha, legend, palette, self.people)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write by suffix: `.png` (labels, P mode, PASCAL-VOC palette), `.npz` (all), `.json` (parts, RLE).

        People are kept by `.npz` and `.json`; see `export` for more.

        Raises:
            FormatError: unknown suffix, or the file cannot be written.
        """
        path = Path(path)
        formats.write(self, path)
        return path

    def encode(self, kind: str, *, photo: str | os.PathLike[str] | None = None) -> bytes:
        """The content of a file in one of the formats of one file.

            parsing.encode("png"), parsing.encode("overlay", photo="photos/group.jpg")

        Args:
            kind: `"png"`, `"npz"`, `"json"`, `"overlay"`, `"coco"` or `"labelme"`.
            photo: path or address of the photo. An overlay shows it; COCO and LabelMe name it as from beside
                it, or `image` without it.

        Raises:
            FormatError: unknown kind, or an overlay without its photo.
            ImageError: the photo cannot be read.
        """
        name = formats.PhotoName("image")
        if photo is not None:
            name = formats.photo_name(photo, os.path.dirname(photo))
        return formats.encode(self, kind, self._photo(kind, name, photo))

    def export(
        self,
        kind: str,
        folder: str | os.PathLike[str],
        stem: str | None = None,
        *,
        photo: str | os.PathLike[str] | None = None,
    ) -> list[Path]:
        """Write it in any format, under the photo's name.

            parsing.export("coco", "annotations", photo="photos/group.jpg")

        Args:
            kind: one that `encode` takes, such as `"coco"` or `"labelme"`; or, of people, `"cihp"`
                (submission folders, for LV-MHP too) or `"mhp"` (a label PNG per person). The page "Formats"
                of the documentation lists them.
            folder: must exist.
            stem: name of the files without what the format adds; None: the photo's, without its suffix.
            photo: path or address of the photo. An overlay shows it. COCO and LabelMe name it, relative to
                the file they are in; without it they name `stem`, and no reader finds the photo.

        Raises:
            FormatError: unknown kind, neither `stem` nor `photo`, an overlay without its photo, or a file
                cannot be written.
            ImageError: the photo cannot be read.
        """
        if stem is None and photo is None:
            raise FormatError('say what the photo is called: export(kind, folder, photo="group.jpg")')
        name = formats.PhotoName(stem or "") if photo is None else formats.photo_name(photo, folder)
        stem = name.stem if stem is None else stem
        return formats.export(self, kind, Path(folder), stem, self._photo(kind, name, photo))

    @staticmethod
    def _photo(kind: str, name: formats.PhotoName, photo: str | os.PathLike[str] | None) -> formats.Photo:
        shown = photo is not None and formats.find(kind).shows_photo
        return formats.Photo(name, load_image(photo) if shown else None)

    @classmethod
    def load(cls, path: str | os.PathLike[str], scheme: str | None = None) -> Parsing:
        """Read what `save` wrote or the service answered, or any label PNG when `scheme` is given.

        Raises:
            FormatError: missing, damaged, or a PNG that does not say its scheme.
        """
        return cls(**vars(formats.read(Path(path), get_scheme(scheme) if scheme else None)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Parsing):
            return NotImplemented
        return (
            (self.scheme, self.model, self.people) == (other.scheme, other.model, other.people)
            and self.cleaning == other.cleaning
            and np.array_equal(self.labels, other.labels)
            and _same(self.confidence, other.confidence)
            and _same(self.logits, other.logits)
        )

    __hash__ = None  # type: ignore[assignment]  # holds arrays

    def __repr__(self) -> str:
        seen = sorted(self.parts(background=True), key=lambda part: -part.share)
        shares = ", ".join(f"{part.name} {100 * part.share:.1f}%" for part in seen[:6])
        more = f", and {len(seen) - 6} more" if len(seen) > 6 else ""
        height, width = self.size
        who = f"{len(self.people)} {'person' if len(self.people) == 1 else 'people'}, " if self.people else ""
        about = f"{width}x{height} px, {who}{self.scheme.key}, {self.model or 'no model'}"
        return f"Parsing({about}: {shares}{more})"

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.colorize().save(buffer, format="PNG")
        return buffer.getvalue()


def _same(one: npt.NDArray[Any] | None, other: npt.NDArray[Any] | None) -> bool:
    if one is None or other is None:
        return one is other
    return np.array_equal(one, other)
