"""`--people FILE.json`: who is where, for one photo or for many."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

from ..errors import PeopleError


class PeopleFile:
    """People of photos, read from JSON.

    For one photo, the file has a list of boxes, a list of COCO results, or an object with `boxes` and
    `scores`; for many photos, a COCO data set (`images`, `annotations`), or an object with any of the former
    for each photo name.

    Raises:
        PeopleError: it is not JSON, or does not say which photo people are in although there are several.
    """

    def __init__(self, path: Path, photos: int) -> None:
        self._path = path
        try:
            self._content: Any = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise PeopleError(
                f"{path}: cannot be read as JSON ({error}); see `humanparse predict --help`"
            ) from error
        entries = self._content if self._single else ()
        images = {one.get("image_id") for one in entries if isinstance(one, Mapping)}
        if len(images) > 1 or (self._single and photos > 1):
            raise PeopleError(
                f"{path}: says not which people are in which photo; give a COCO data set with images and "
                'annotations, or an object {"photo.jpg": [[x0, y0, x1, y1], …], …}'
            )

    @property
    def _single(self) -> bool:
        return not isinstance(self._content, Mapping) or bool({"boxes", "masks"} & set(self._content))

    def of(self, source: str) -> Any:
        """The people of one photo, in a form that `Parser.predict` takes.

        Raises:
            PeopleError: the file does not name that photo.
        """
        if self._single:
            return self._content
        name = PurePath(source).name
        if "annotations" in self._content:
            return self._from_dataset(name)
        for key in (source, name, PurePath(source).stem):
            if key in self._content:
                return self._content[key]
        raise PeopleError(f"{self._path}: has no entry for {name}; an empty list says that nobody is there")

    def _from_dataset(self, name: str) -> list[Any]:
        images = self._content.get("images", [])
        wanted = [image["id"] for image in images if PurePath(str(image.get("file_name"))).name == name]
        if not wanted:
            raise PeopleError(f"{self._path}: none of its {len(images)} images is called {name}")
        return [one for one in self._content["annotations"] if one.get("image_id") in wanted]
