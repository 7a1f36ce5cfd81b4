"""The table of models: every entry is whole, and answers for itself."""

from __future__ import annotations

import pickle
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest
import torch
from torch import nn

import humanparse
from humanparse import EnsembleSpec, ModelError, ModelSpec, models, registry
from humanparse.registry import FAMILIES, Family, InputSpec, Published, Source, WeightFile
from humanparse.schemes import scheme_names

PACKAGE = Path(humanparse.__file__).parent
NETWORKS = [spec.name for spec in registry.networks()]
ENTRIES = [*map(registry.get, registry.names()), *map(registry.detector, registry.detector_names())]

PUBLISHED = {
    "schp-lip": (267449349, "24fa3254ceeb74c8435458994a64b522fb439a3635b7b86ff470457e0413da00"),
    "schp-atr": (267445237, "e9d7c91ce3b4e7133df56b599fc817b533e3439c5e8d282a59126d2fda339a2a"),
    "schp-pascal": (267422621, "3b03d343c39fb0696f75d45c44c67b2fc23f5d0bf0925a82c0465e415799fa85"),
}


def fits(value: Any, kind: Any) -> bool:
    """Whether a value is of an annotated type, all the way down."""
    origin, inner = get_origin(kind), get_args(kind)
    if kind is Any:
        return True
    if origin is Literal:
        return value in inner
    if origin in (Union, UnionType):
        return any(fits(value, one) for one in inner)
    if origin is tuple:
        inner = inner[:1] * len(value) if inner[1:] == (...,) and isinstance(value, tuple) else inner
        return isinstance(value, tuple) and len(value) == len(inner) and all(map(fits, value, inner))
    if origin is Mapping:
        return isinstance(value, Mapping) and all(fits(one, inner[1]) for one in value.values())
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if is_dataclass(kind):
        return isinstance(value, kind) and not list(mistyped(value))
    return type(value) is kind


def mistyped(record: Any) -> Iterator[str]:
    hints = get_type_hints(type(record))
    for field in fields(record):
        if not fits(getattr(record, field.name), hints[field.name]):
            yield f"{field.name} {getattr(record, field.name)!r} is not {hints[field.name]}"


def faults_of_input(spec: InputSpec) -> Iterator[str]:
    if min(spec.size) < 2 or spec.pad_multiple < 1:
        yield "unusable size or pad_multiple"
    if spec.fit.startswith("warp-") and (spec.upsampling, spec.resize_on) != ("two-step", "uint8"):
        yield "a warped input takes uint8 and enlarges logits to the input size first"
    if spec.extract == "labels" and not spec.fit.startswith("warp-"):
        yield "only warped inputs bring labels back"
    if spec.interpolation.startswith("pil-") and spec.resize_on != "uint8":
        yield "Pillow resizes uint8"
    if min(spec.std) <= 0:
        yield "std is not positive"


def faults_of_source(source: Source) -> Iterator[str]:
    if source.kind == "hf" and not (source.repo and source.path):
        yield "an hf source needs repo and path"
    if source.kind == "gdrive" and not source.file_id:
        yield "a gdrive source needs file_id"
    if source.kind != "bundled" and not source.url.startswith("https://"):
        yield f"{source.url!r} is not an https address"


def faults_of_file(file: WeightFile) -> Iterator[str]:
    if "/" in file.filename or not file.filename:
        yield f"{file.filename!r} is not a plain name"
    if file.sha256 is not None and not re.fullmatch(r"[0-9a-f]{64}", file.sha256):
        yield f"{file.sha256!r} is not 64 lower-case hex digits"
    if file.size is not None and file.size <= 0:
        yield "size is not positive"
    if file.size is not None and file.about is not None:
        yield "a known size needs no rounded one"
    for source in file.sources:
        yield from faults_of_source(source)


def faults_of_network(spec: ModelSpec) -> Iterator[str]:
    yield from faults_of_input(spec.input)
    if not spec.scales or min(spec.scales) <= 0:
        yield "scales are not positive"
    thresholds = {**(spec.decode or {}), **(spec.people_head or {})}
    if min(thresholds.values(), default=0) < 0:
        yield "a threshold is below 0"
    if spec.family not in FAMILIES:
        yield f"there is no family {spec.family!r}"
    elif (spec.decode is None) != (FAMILIES[spec.family].decoder is None):
        yield "decode is for families with a decoder, and all their models have it"
    elif spec.decode is not None and spec.people_head is not None:
        yield "a people head is for networks with logits"
    if spec.input.people_size is not None and (spec.people_head is None or min(spec.input.people_size) < 32):
        yield "people_size is for a people head, and at least 32"


def faults(entry: Any) -> list[str]:
    """All that is wrong with an entry: what a mistake in packaging can cause, and nothing else."""
    found = list(mistyped(entry))
    if found:
        return found
    licence = entry.licence
    if not all((entry.paper, entry.origin, licence.code, licence.weights, licence.data, licence.reason)):
        found.append("paper, origin or a licence is empty")
    if not all(claim.citation for claim in entry.accuracy):
        found.append("a claim has no citation")
    if not re.fullmatch(r"[a-z0-9]+([-_.][a-z0-9]+)*", entry.name):
        found.append(f"{entry.name!r} is not lower-case words joined by '-'")
    if isinstance(entry, Published):
        found += faults_of_file(entry.file)
    if isinstance(entry, ModelSpec | EnsembleSpec) and entry.scheme_key not in scheme_names():
        found.append(f"there is no label scheme {entry.scheme_key!r}")
    elif isinstance(entry, ModelSpec):
        found += faults_of_network(entry)
    elif isinstance(entry, EnsembleSpec):
        if next(iter(entry.parts), None) != "global" or len(entry.parts) < 2:
            found.append("parts are not a global network and others")
        elif {part.scheme_key for part in entry.networks().values()} != {entry.scheme_key}:
            found.append("its parts have other labels")
    return found


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_every_entry_is_whole_and_survives_pickling(entry: Any) -> None:
    assert faults(entry) == []
    assert pickle.loads(pickle.dumps(entry)) == entry and hash(pickle.loads(pickle.dumps(entry))) == hash(
        entry
    )


def test_names_are_told_once_and_sorted() -> None:
    assert len({entry.name for entry in ENTRIES}) == len(ENTRIES)
    assert registry.names() == sorted(registry.names())
    assert not any("_" in name for name in registry.names())


SCHP, SMP = registry.network("schp-lip"), registry.network("smp-r50-mhpv2")
CIHP, MASKS = registry.get("schp-cihp"), registry.detector("maskrcnn_resnet50_fpn_v2")


def with_input(**changes: Any) -> ModelSpec:
    return replace(SCHP, input=replace(SCHP.input, **changes))


def with_file(**changes: Any) -> ModelSpec:
    return replace(SCHP, file=replace(SCHP.file, **changes))


def with_source(place: int, **changes: Any) -> ModelSpec:
    sources = list(SCHP.file.sources)
    sources[place] = replace(sources[place], **changes)
    return with_file(sources=tuple(sources))


@pytest.mark.parametrize(
    ("broken", "fault"),
    [
        (with_file(sha256="ABC"), "64 lower-case hex"),
        (with_file(sha256="A" * 64), "64 lower-case hex"),
        (with_file(size=-1), "size is not positive"),
        (with_file(about=267_000_000), "needs no rounded one"),
        (with_file(size="5"), "file"),
        (with_file(filename="../x.pth"), "plain name"),
        (with_source(2, url="http://insecure.example/x"), "not an https"),
        (with_source(2, url=5), "file"),
        (with_source(0, repo=None), "needs repo and path"),
        (with_source(4, file_id=None), "needs file_id"),
        (with_source(0, kind="ftp"), "file"),
        (with_input(fit="stretch"), "input"),
        (with_input(channels="grb"), "input"),
        (with_input(scale="0-100"), "input"),
        (with_input(size=(473,)), "input"),
        (with_input(size=(1, 473)), "unusable size"),
        (with_input(std=(0, 1, 1)), "std is not positive"),
        (with_input(mean=(0, 1)), "input"),
        (with_input(upsampling="one-step"), "a warped input"),
        (with_input(fit="squash", extract="labels"), "only warped inputs"),
        (with_input(fit="squash", interpolation="pil-bilinear", resize_on="float"), "Pillow resizes uint8"),
        (replace(SCHP, scales=(-1.0,)), "scales are not positive"),
        (replace(SCHP, scales=()), "scales are not positive"),
        (replace(SCHP, scales=("1",)), "scales"),
        (replace(SCHP, scheme_key="lpi"), "no label scheme"),
        (replace(SCHP, scheme_key=5), "scheme_key"),
        (replace(SCHP, paper=""), "paper"),
        (replace(SCHP, licence=replace(SCHP.licence, data="")), "licence"),
        (replace(SCHP, licence=replace(SCHP.licence, reason="")), "licence"),
        (replace(SCHP, licence=replace(SCHP.licence, commercial="maybe")), "licence"),
        (replace(SCHP, licence=None), "licence"),
        (replace(SCHP, accuracy=(replace(SCHP.accuracy[0], citation=""),)), "no citation"),
        (replace(SCHP, accuracy=(replace(SCHP.accuracy[0], value="59"),)), "accuracy"),
        (replace(SCHP, name="Schp_Lip"), "lower-case words"),
        (replace(SCHP, family="schq"), "no family"),
        (replace(SCHP, decode={"ctr_score": 0.1}), "families with a decoder"),
        (replace(SMP, decode=None), "families with a decoder"),
        (replace(SMP, people_head={}), "a people head is for networks with logits"),
        (replace(SCHP, people_head={"threshold": True}), "people_head"),
        (replace(SCHP, input=replace(SCHP.input, people_size=(64, 64))), "people_size"),
        (replace(SMP, decode={"ctr_score": "much"}), "decode"),
        (replace(SMP, decode={"ctr_score": -0.1}), "below 0"),
        (replace(CIHP, parts={"global": "schp-cihp-global"}), "a global network and others"),
        (replace(CIHP, parts={"local": "schp-cihp-local", "global": "schp-cihp-global"}), "a global network"),
        (replace(CIHP, parts={"global": "schp-cihp-global", "local": "schp-lip"}), "other labels"),
        (replace(CIHP, scheme_key="cipp"), "no label scheme"),
        (replace(CIHP, rule=None), "rule"),
        (replace(MASKS, file=WeightFile("a/b", ())), "plain name"),
        (replace(MASKS, masks="yes"), "masks"),
    ],
)
def test_each_fault_of_an_entry_is_found(broken: Any, fault: str) -> None:
    assert any(fault in found for found in faults(broken)), faults(broken)


def parts_in(output: Any) -> int:
    """Number of labels with background; a single-stage network's maps have no channel for it."""
    if isinstance(output, torch.Tensor):
        return output.shape[1]
    return 1 + (output.offset.shape[1] if hasattr(output, "offset") else len(output.class_vectors))


@pytest.mark.parametrize("name", NETWORKS)
def test_every_model_builds_a_network_known_by_its_family_alone(name: str) -> None:
    spec = registry.network(name)
    with torch.device("meta"):
        network = models.build(spec)
        output = network(torch.zeros(1, 3, 64, 64))
    assert parts_in(output) == len(spec.scheme)
    assert isinstance(output, torch.Tensor) == spec.gives_logits
    state = network.state_dict()
    assert [family.name for family in FAMILIES.values() if family.marker in state] == [spec.family]
    if (classifier := FAMILIES[spec.family].classifier) is not None:
        assert len(state[classifier]) == len(spec.scheme)


@pytest.mark.parametrize("family", FAMILIES.values(), ids=lambda family: family.name)
def test_every_family_has_a_file_of_its_name_and_a_decoder_where_it_needs_one(family: Family) -> None:
    module = import_module(f"humanparse.models.{family.module}")
    network = getattr(module, family.network)
    assert issubclass(network, nn.Module) and network.__module__ == module.__name__
    if family.decoder is not None:
        place, _, function = family.decoder.partition(":")
        assert callable(getattr(import_module(f"humanparse.pipelines.{place}"), function))


def test_every_file_of_a_network_is_a_familys() -> None:
    files = {path.stem for path in (PACKAGE / "models").glob("*.py") if not path.stem.startswith("_")}
    assert files == {family.module for family in FAMILIES.values()} | {"detector"}


def test_a_family_of_a_later_version_is_refused_by_name() -> None:
    with pytest.raises(ModelError, match="schp-lip: this version of humanparse has no family 'later'"):
        models.build(replace(SCHP, family="later"))


@pytest.mark.parametrize(
    ("name", "finds", "logits", "detects"),
    [
        ("schp-lip", False, True, False),
        ("smp-r50-mhpv2", True, False, True),
        ("uniparser-r50-mhpv2", True, False, True),
        ("schp-cihp", True, True, False),
    ],
)
def test_models_say_what_they_can_do(name: str, finds: bool, logits: bool, detects: bool) -> None:
    spec = registry.get(name)
    assert (spec.finds_people, spec.gives_logits, spec.detects_people) == (finds, logits, detects)


def test_a_network_with_a_people_head_finds_people_only_when_asked_to() -> None:
    spec = replace(registry.network(registry.DEFAULT), people_head={"threshold": 0.1})
    assert (spec.finds_people, spec.gives_logits, spec.detects_people) == (False, True, True)


def test_models_of_one_network_and_of_several_say_which_networks_they_are() -> None:
    assert SCHP.networks() == {"network": SCHP}
    assert [spec.name for spec in CIHP.networks().values()] == ["schp-cihp-global", "schp-cihp-local"]
    assert (SCHP.rule, CIHP.rule, CIHP.bundled) == ("schp", "schp", False)
    with pytest.raises(ModelError, match="several networks; name one of them: schp-cihp-global, schp-cihp-l"):
        registry.network("schp-cihp")


@pytest.mark.parametrize("name", PUBLISHED)
def test_schp_files_carry_the_public_records_and_all_five_sources(name: str) -> None:
    spec = registry.network(name)
    assert (spec.file.size, spec.file.sha256) == PUBLISHED[name]
    assert [source.kind for source in spec.file.sources] == ["hf", "hf", "url", "hf", "gdrive"]
    for source in spec.file.sources:
        if source.kind == "hf":  # one repository shows no more than a short revision; it says so
            assert len(source.revision or "") == 40 or "the sha256 pins it" in source.note


def test_the_bundled_model_is_the_default_and_its_file_the_one_on_record() -> None:
    (spec,) = [spec for spec in registry.networks() if spec.bundled]
    assert spec.name == registry.DEFAULT
    content = (PACKAGE / spec.file.sources[0].url).read_bytes()
    assert len(content) == spec.file.size <= 14_000_000
    assert sha256(content).hexdigest() == spec.file.sha256


def test_models_are_found_by_pattern_and_unknown_names_by_likeness() -> None:
    assert humanparse.list_models("schp-*") == [
        "schp-atr", "schp-cihp", "schp-cihp-global", "schp-cihp-local", "schp-lip", "schp-pascal",
    ]  # fmt: skip
    assert humanparse.list_models("nothing-*") == []
    assert humanparse.model_info("schp-lip").scheme.key == "lip"
    with pytest.raises(ModelError, match=r"'schp-lpi'; did you mean schp-lip"):
        humanparse.model_info("schp-lpi")
    with pytest.raises(ModelError, match="no detector is called 'yolo'; known: maskrcnn_resnet50_fpn_v2, "):
        registry.detector("yolo")
