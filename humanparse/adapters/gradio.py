"""gradio: a web page to try models on photos."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import hub, registry
from ..errors import HumanParseError
from ..schemes import IGNORE, get_scheme, remap_targets
from . import needing

if TYPE_CHECKING:
    import gradio

    from ..parser import Parser
    from ..results import Parsing

AS_MODEL = "as the model"

_RESULTS_KEPT = 16
_CACHE_SECONDS = 3600


def demo(parser: Parser | None = None, models: Sequence[str] | None = None) -> gradio.Blocks:
    """A page that parses photos: it shows tinted parts and a table of them, and offers files to download.

    Programs can call it, too: `gradio_client.Client(url).predict(photo, model, labels, approximate,
    api_name="/parse")`.

    Args:
        parser: a loaded model, offered as the first choice.
        models: names of more models to offer; a model is downloaded when a visitor chooses it. None offers
            no others; without a parser, the bundled model.

    Returns:
        `gradio.Blocks`; `.launch()` serves it. Photos are parsed one at a time, and results stay on disk for
        an hour.

    Raises:
        HumanParseError: gradio is not installed.
        ModelError: there is no such model.

    Examples:
        >>> from humanparse.adapters.gradio import demo
        >>> page = demo()  # page.launch() serves it
        >>> type(page).__name__
        'Blocks'
    """
    with needing("gradio", "gradio"):
        import gradio as gr
    first = [] if parser is None else [parser.spec.name]
    others = models if models is not None else [] if first else [registry.DEFAULT]
    offered = list(dict.fromkeys([*first, *(hub.find_model(name).name for name in others)]))
    desk = _Desk(gr, parser)
    with gr.Blocks(
        title="humanparse", analytics_enabled=False, delete_cache=(_CACHE_SECONDS, _CACHE_SECONDS)
    ) as page:
        gr.Markdown("# humanparse\nFor every pixel of a photo of people, which part of a person it is.")
        with gr.Row():
            with gr.Column():
                photo = gr.Image(type="numpy", label="Photo")
                model = gr.Dropdown(offered, value=offered[0], label="Model")
                labels = gr.Dropdown([AS_MODEL, *remap_targets()], value=AS_MODEL, label="Label set")
                loosely = gr.Checkbox(label="Allow labels without an exact counterpart")
                button = gr.Button("Parse", variant="primary")
            with gr.Column():
                overlay = gr.AnnotatedImage(label="Parts", color_map=_colours(offered))
                table = gr.Dataframe(headers=["Part", "Label", "Pixels", "Share (%)"], label="Parts")
                files = gr.File(file_count="multiple", label="Label map, overlay, parts with masks")
        button.click(desk.parse, [photo, model, labels, loosely], [overlay, table, files], api_name="parse")
    return page


class _Desk:
    """Answers the page's button."""

    def __init__(self, gradio: Any, parser: Parser | None) -> None:
        self._gradio, self._parser = gradio, parser
        self._results: deque[TemporaryDirectory[str]] = deque(maxlen=_RESULTS_KEPT)
        self._load = lru_cache(maxsize=2)(_load)

    def parse(self, photo: Any, model: str, labels: str, approximate: bool) -> tuple[Any, Any, list[str]]:
        """RGB uint8 (H, W, 3) -> the parts for the picture, the table's rows and the files' paths."""
        if photo is None:
            raise self._gradio.Error("Choose a photo first.")
        try:
            given = self._parser
            parser = given if given is not None and given.spec.name == model else self._load(model)
            parsing = parser.predict(photo)
            if labels != AS_MODEL:
                parsing = parsing.remap(labels, approximate)
        except HumanParseError as error:
            raise self._gradio.Error(str(error)) from error
        found = [part for part in parsing.parts() if part.label != IGNORE]
        masks = [(parsing.mask(part.label).astype(np.float32) * 0.6, part.name) for part in found]
        rows = [[part.name, part.label, part.pixels, round(100 * part.share, 2)] for part in found]
        return (photo, masks), rows, self._saved(photo, parsing)

    def _saved(self, photo: Any, parsing: Parsing) -> list[str]:
        """Write the files of a result; gradio copies them, so files of earlier results are removed."""
        kept = TemporaryDirectory(prefix="humanparse-")
        self._results.append(kept)
        folder = Path(kept.name)
        paths = [parsing.save(folder / "labels.png"), parsing.save(folder / "parts.json")]
        paths.insert(1, folder / "overlay.png")
        parsing.overlay(photo, legend=True).save(paths[1])
        return [str(path) for path in paths]


def _load(model: str) -> Parser:
    from ..parser import Parser

    return Parser(model)


def _colours(models: Sequence[str]) -> dict[str, str]:
    """A colour for each name in any label set."""
    schemes = [*(hub.find_model(model).scheme for model in models), *map(get_scheme, remap_targets())]
    colours: dict[str, str] = {}
    for scheme in schemes:
        for name, rgb in zip(scheme.names, scheme.palette("display"), strict=False):
            colours.setdefault(name, "#{:02x}{:02x}{:02x}".format(*rgb))
    return colours
