"""A folder of a model's label maps, from which an interrupted evaluation resumes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..durable import replacing
from ..errors import FormatError
from ..formats import FORMATS
from .datasets import Sample

_SETTINGS = "settings.json"


class Kept:
    """Makes the label maps that are missing in a folder; its `settings.json` records how they were made.

    Args:
        folder: a new folder, or that of an earlier run with the same settings.
        settings: everything that affects the label maps, as JSON values.
        predict: returns a photo's `Parsing`, like `Parser.predict`.
        people: whether it finds people. If so, a CIHP submission is written, otherwise label PNGs.

    Attributes:
        folder, settings: as given.

    Raises:
        FormatError: the folder has other files, or was made with other settings.
    """

    def __init__(
        self, folder: Path, settings: Mapping[str, Any], predict: Callable[[Path | None], Any], people: bool
    ) -> None:
        self.folder, self.settings = folder, settings
        self._predict, self._people = predict, people
        if (folder / _SETTINGS).is_file():
            self._compare(settings)
        else:
            self._begin(settings)

    def make(self, sample: Sample) -> None:
        """Parse a photo, unless its files already exist."""
        names = FORMATS["cihp" if self._people else "png"].names(sample.stem)
        if all((self.folder / name).is_file() for name in names):
            return
        parsing = self._predict(sample.image)
        if self._people:
            parsing.export("cihp", self.folder, sample.stem)
        else:
            parsing.save(self.folder / names[0])

    def _begin(self, settings: Mapping[str, Any]) -> None:
        folder, note = self.folder, self.folder / _SETTINGS
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if any(not path.name.startswith(".") for path in folder.iterdir()):
                raise FormatError(
                    f"{folder} has files that are not label maps; choose a new folder with `keep`"
                )
            for name in ("global_parsing", "instance_parsing", "global_tag") if self._people else ():
                (folder / name).mkdir()
            with replacing(note) as part:
                part.write_text(json.dumps(settings, indent=2), encoding="utf-8")
        except OSError as error:
            raise FormatError(
                f"cannot write {note}: {error.strerror}; choose a folder with `keep`"
            ) from error

    def _compare(self, settings: Mapping[str, Any]) -> None:
        note = self.folder / _SETTINGS
        try:
            before = dict(json.loads(note.read_text(encoding="utf-8")))
        except (OSError, TypeError, ValueError) as error:
            raise FormatError(f"{note}: not readable ({error}); choose another folder with `keep`") from error
        other = [key for key in {**before, **settings} if before.get(key) != settings.get(key)]
        if other:
            changes = "\n".join(
                f"  {key}: {before.get(key)} before, {settings.get(key)} now" for key in other
            )
            raise FormatError(
                f"{self.folder} holds label maps made with other settings; delete it, or choose another "
                f"with `keep`\n{changes}"
            )
