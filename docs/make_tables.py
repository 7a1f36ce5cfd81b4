"""Fill in the tables of `models.md`, `labels.md`, `serving.md` and `formats.md` from what they tell of.

python docs/make_tables.py
"""

import re
from collections.abc import Iterable, Iterator
from itertools import groupby, takewhile
from pathlib import Path

from make_palette import STAGES, distances
from make_pictures import palettes

from humanparse import get_scheme, registry
from humanparse.formats import FORMATS
from humanparse.registry import Spec
from humanparse.schemes import find_remap, remap_targets, scheme_names
from humanparse.serve.refusals import REFUSALS

DOCS = Path(__file__).parent
DETECTORS = ("maskrcnn_resnet50_fpn_v2", "fasterrcnn_mobilenet_v3_large_320_fpn")


def table(titles: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table in Markdown."""
    titles = list(titles)
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def origin(spec: Spec) -> tuple[str, str]:
    """What models of one heading share: original code and paper."""
    return spec.origin.partition(" ")[0] if spec.origin.startswith("https") else spec.origin, spec.paper


def family(names: list[str]) -> str:
    """The words with which all names begin."""
    words = zip(*(name.split("-") for name in names), strict=False)
    return "-".join(one[0] for one in takewhile(lambda several: len(set(several)) == 1, words))


def place_of_weights(spec: Spec) -> str:
    """Where a model's file comes from, and what vouches for it."""
    network, *others = spec.networks().values()
    if others:
        return "those of " + ", ".join(f"`{part.name}`" for part in (network, *others))
    file = network.file
    if spec.bundled:
        return f"in the package, {(file.size or 0) / 1e6:.1f} MB"
    if not file.sources:
        return "never published: bring your own"
    bytes_ = file.size or file.about
    size = f"{'about ' * (file.size is None)}{bytes_ / 1e6:.0f} MB" if bytes_ else "size not on record"
    known = "sha256 pinned" if file.sha256 else "first download recorded"
    if all(source.kind == "manual" for source in file.sources):
        return f"by hand, [from here]({file.sources[0].url}); {known.replace('download', 'use')}"
    return f"downloaded, {size}, {known}"


def row(spec: Spec) -> list[str]:
    """A model's line."""
    claims = [
        f"{claim.metric} {claim.value}, {claim.split} ({'measured' if claim.measured else 'claimed'})"
        for claim in spec.accuracy
    ]
    network, *others = spec.networks().values()
    kind = "whole photo and crops" if others else network.input.extent
    mirrored = "" if others or not network.flip else ", mirrored too"
    labels = f"[{len(spec.scheme)}, {spec.scheme_key}](labels.md#{spec.scheme_key})"
    cells = [f"`{spec.name}`", labels, kind + mirrored, "<br>".join(claims) or "none claimed"]
    return [*cells, place_of_weights(spec), spec.licence.data, spec.licence.commercial]


def models() -> Iterator[str]:
    """A heading for each original, with what its models share, and a table of them."""
    specs = sorted((registry.get(name) for name in registry.names()), key=origin)
    specs.sort(key=lambda spec: spec.name != registry.DEFAULT)  # the default stands first
    for (place, paper), group in groupby(specs, key=origin):
        members = list(group)
        address = f"<{place}>" if place.startswith("https") else place
        code, weights = (
            "; ".join(sorted({getattr(spec.licence, kind) for spec in members}))
            for kind in ("code", "weights")
        )
        yield f"### {family([spec.name for spec in members])}"
        yield f"Origin: {address}. Paper: {paper}.\n\nLicence of the code: {code}. Of the weights: {weights}."
        reasons = sorted({f"{spec.licence.commercial}: {spec.licence.reason}" for spec in members})
        yield f"Commercial use of the weights: {'; '.join(reasons)}."
        titles = ("model", "labels", "input", "accuracy", "weights", "data", "commercial")
        yield table(titles, map(row, members))
        claims = sorted({claim.citation for spec in members for claim in spec.accuracy})
        if claims:
            yield f"Source of the numbers: {'; '.join(claims)}."


def detectors() -> Iterator[str]:
    """The detectors of people, with their licences."""
    specs = [registry.detector(name) for name in DETECTORS]
    rows = [
        (
            f"`{spec.name}`",
            f"{(spec.file.size or 0) / 1e6:.0f} MB",
            "yes" if spec.masks else "no, boxes only",
            *(spec.licence.code, spec.licence.weights, spec.licence.data),
        )
        for spec in specs
    ]
    titles = ("detector", "download", "masks", "code", "weights", "data")
    yield table(titles, rows)


def labels() -> Iterator[str]:
    """A heading, a picture and the facts of each scheme."""
    for key in scheme_names():
        scheme = get_scheme(key)
        users = [name for name in registry.names() if registry.get(name).scheme_key == key]
        yield f"### {key}"
        yield f"![The {len(scheme)} labels of {key} with their colours](pictures/labels_{key}.png)"
        facts = [f"{len(scheme)} labels; palettes: {', '.join(f'`{name}`' for name in palettes(scheme))}."]
        if scheme.background is None:
            facts.append("No label is the background.")
        if scheme.flip_pairs:
            swaps = ", ".join(f"{left} and {right}" for left, right in scheme.flip_pairs)
            facts.append(f"Left and right: {swaps}.")
        known = ", ".join(f"`{name}`" for name in users)
        facts.append(f"Models: {known or 'none'}{'; a target of `remap`' * (key in remap_targets())}.")
        yield " ".join(facts)
        if scheme.groups:
            titles = ("group", "labels")
            rows = [(f"`{name}`", ", ".join(map(scheme.name, labels))) for name, labels in scheme.groups]
            yield table(titles, rows)


def colours() -> Iterator[str]:
    """How far apart the display colours of each label set are."""
    columns = {
        "touching": ("touching", "normal", "plain"),
        "with protanopia": ("touching", "protanopia", "plain"),
        "with deuteranopia": ("touching", "deuteranopia", "plain"),
        "over black": ("touching", "normal", "over black"),
        "left and right": ("sides", "normal", "plain"),
    }
    rows = []
    for key in (key for stage in STAGES for key in stage):
        found = distances(key)
        least = [f"{found[spot][0]:.1f}" if spot in found else "" for spot in columns.values()]
        any_two = min(apart for spot, (apart, _) in found.items() if spot[1:] == ("normal", "plain"))
        rows.append((key, *least, f"{any_two:.1f}"))
    yield table(("label set", *columns, "any two"), rows)


def remaps() -> Iterator[str]:
    """Which label set leads to which, and what is lost."""
    rows = []
    for source in map(get_scheme, scheme_names()):
        for target in remap_targets(source):
            remap = find_remap(source, target)
            loose = [source.name(label) for label in sorted(remap.inexact)]
            inexact = "all" if len(loose) == len(source) else ", ".join(loose) or "none"
            rows.append((source.key, target, inexact, remap.note))
    yield table(("from", "to", "labels without exact counterpart", "what happens"), rows)


def refusals() -> Iterator[str]:
    """The codes of the service's refusals."""
    rows = [(str(status), f"`{code}`", meaning) for code, (status, meaning) in REFUSALS.items()]
    yield table(("status", "code", "meaning"), rows)


def formats() -> Iterator[str]:
    """The formats, their files, and who offers them."""
    rows = []
    for one in FORMATS.values():
        names = [f"`{name}`" for name in one.names("NAME")]
        read = "yes" if one.reader else ""
        everywhere = "yes" if one.of_any_photo else ""
        rows.append((f"`{one.kind}`", ", ".join(names) or "one per person", one.holds, read, everywhere))
    yield table(("format", "files", "holds", "`Parsing.load` reads it", "`label`, the service"), rows)


FILLED = {
    "formats.md": {"formats": formats},
    "serving.md": {"refusals": refusals},
    "models.md": {"models": models, "detectors": detectors},
    "labels.md": {"labels": labels, "colours": colours, "remaps": remaps},
}


def filled(page: str) -> str:
    """The page's text with its tables as they should be."""
    text = (DOCS / page).read_text(encoding="utf-8")
    for name, lines in FILLED[page].items():
        new = (
            f"<!-- {name}: made by make_tables.py -->\n\n"
            + "\n\n".join(lines())
            + f"\n\n<!-- {name}: end -->"
        )
        text, count = re.subn(
            rf"<!-- {name}: made.*?<!-- {name}: end -->", lambda _, new=new: new, text, flags=re.S
        )
        assert count == 1, f"{page} has no place for {name}"
    return text


if __name__ == "__main__":
    for page in FILLED:
        (DOCS / page).write_text(filled(page), encoding="utf-8")
