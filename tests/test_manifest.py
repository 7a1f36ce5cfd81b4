"""weights_manifest.json: every entry is whole, and a broken one is refused by name."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import humanparse
from humanparse import ManifestError, ModelError, ensembles, manifest, models

CONTENT = json.loads(manifest.manifest_path().read_text(encoding="utf-8"))
PACKAGE = Path(humanparse.__file__).parent

PUBLISHED = {
    "schp-lip": (267449349, "24fa3254ceeb74c8435458994a64b522fb439a3635b7b86ff470457e0413da00"),
    "schp-atr": (267445237, "e9d7c91ce3b4e7133df56b599fc817b533e3439c5e8d282a59126d2fda339a2a"),
    "schp-pascal": (267422621, "3b03d343c39fb0696f75d45c44c67b2fc23f5d0bf0925a82c0465e415799fa85"),
}


def parts_in(output: Any) -> int:
    """Number of labels with background; a single-stage network's maps have no channel for it."""
    if isinstance(output, torch.Tensor):
        return output.shape[1]
    return 1 + (output.offset.shape[1] if hasattr(output, "offset") else len(output.class_vectors))


@pytest.mark.parametrize("name", manifest.names())
def test_every_entry_builds_a_network_and_states_its_terms(name: str) -> None:
    spec = manifest.get(name)
    with torch.device("meta"):
        network = models.build(spec)
        output = network(torch.zeros(1, 3, 64, 64))
    assert parts_in(output) == len(spec.scheme)
    assert all((spec.paper, spec.origin, spec.licence.code, spec.licence.weights, spec.licence.data))
    assert all(source.url.startswith("https://") for source in spec.file.sources if source.kind != "bundled")
    assert all(claim.citation for claim in spec.accuracy)
    assert hash(spec) == hash(pickle.loads(pickle.dumps(spec))) and pickle.loads(pickle.dumps(spec)) == spec


@pytest.mark.parametrize("name", PUBLISHED)
def test_schp_files_carry_the_public_records_and_all_five_sources(name: str) -> None:
    spec = manifest.get(name)
    assert (spec.file.size, spec.file.sha256) == PUBLISHED[name]
    assert [source.kind for source in spec.file.sources] == ["hf", "hf", "url", "hf", "gdrive"]
    for source in spec.file.sources:
        if source.kind == "hf":  # one repository shows no more than a short revision; it says so
            assert len(source.revision or "") == 40 or "the sha256 pins it" in source.note


def test_the_bundled_file_is_the_one_on_record_and_small() -> None:
    spec = manifest.get("tiny-atr")
    assert spec.bundled
    content = (PACKAGE / spec.file.sources[0].url).read_bytes()
    assert len(content) == spec.file.size <= 8_000_000
    assert sha256(content).hexdigest() == spec.file.sha256


def places(record: Any, path: str = "") -> Iterator[str]:
    """The dotted path of every field of a manifest entry."""
    fields = record.items() if isinstance(record, dict) else enumerate(record)
    for key, value in fields:
        yield f"{path}{key}"
        if isinstance(value, dict | list):
            yield from places(value, f"{path}{key}.")


def changed(path: str, value: Any) -> dict[str, Any]:
    """The manifest with one thing of `schp-lip` changed, or removed where `value` is None."""
    content = copy.deepcopy(CONTENT)
    at: Any = content["models"]["schp-lip"]
    *way, last = [int(key) if key.isdigit() else key for key in path.split(".")]
    for key in way:
        at = at[key]
    if value is None:
        del at[last]
    else:
        at[last] = value
    return content


@pytest.mark.parametrize(
    ("path", "value", "fault"),
    [
        ("file.sha256", "ABC", "64 lower-case hex"),
        ("file.sha256", "A" * 64, "64 lower-case hex"),
        ("file.size", -1, "not positive"),
        ("file.filename", "../x.pth", "plain name"),
        ("file.sources.2.url", "http://insecure.example/x", "not an https"),
        ("file.sources.2.url", 5, "startswith"),
        ("file.sources", None, "field 'sources' is missing"),
        ("file.sources.0.repo", None, "needs repo and path"),
        ("file.sources.4.file_id", None, "needs file_id"),
        ("file.sources.0.kind", "ftp", "unknown kind"),
        ("input.fit", "stretch", "unknown fit"),
        ("input.channels", "grb", "unknown channels .grb."),
        ("input.scale", "0-100", "unknown scale"),
        ("decode", {"ctr_score": "much"}, "ctr_score must be a number"),
        ("input.size", [473], "unusable size"),
        ("input.std", [0, 1, 1], "std positive"),
        ("input.upsampling", "one-step", "two-step"),
        ("scales", [-1.0], "positive"),
        ("scales", [], "positive"),
        ("scheme", "lpi", "no label scheme"),
        ("scheme", None, "field 'scheme' is missing"),
        ("scheme", 5, "lower"),
        ("input", None, "field 'input' is missing"),
        ("input", [], "items"),
        ("licence.data", None, "data"),
        ("paper", None, "paper"),
        ("colour", "blue", "no field colour"),
    ],
)
def test_a_broken_entry_is_refused_with_its_name_and_fault(path: str, value: Any, fault: str) -> None:
    with pytest.raises(ManifestError, match=rf"schp-lip: (.|\n)*{fault}"):
        manifest.parse(changed(path, value))


def test_a_name_with_odd_letters_and_another_version_are_refused() -> None:
    with pytest.raises(ManifestError, match="Schp_Lip"):
        manifest.parse({"version": 1, "models": {"Schp_Lip": CONTENT["models"]["schp-lip"]}})
    with pytest.raises(ManifestError, match='"version": 1'):
        manifest.parse({"version": 2, "models": {}})


def test_a_model_may_be_listed_without_any_source() -> None:
    spec = manifest.parse(changed("file.sources", []))["schp-lip"]
    assert spec.file.sources == () and not spec.bundled


@given(
    path=st.sampled_from(sorted(places(CONTENT["models"]["schp-lip"]))),
    value=st.sampled_from([5, -1, "x", [], {}, [[]], "", True]),
)
@settings(deadline=None, max_examples=300)
def test_any_field_of_the_wrong_type_gives_values_or_an_error_with_the_models_name(
    path: str, value: object
) -> None:
    try:
        specs = manifest.parse(changed(path, value))
    except ManifestError as error:
        assert "schp-lip: " in str(error)
    else:
        assert specs["schp-lip"].name == "schp-lip"


def test_models_are_found_by_pattern_and_unknown_names_by_likeness() -> None:
    assert humanparse.list_models("schp-*") == [
        "schp-atr", "schp-cihp", "schp-cihp-global", "schp-cihp-local", "schp-lip", "schp-pascal",
    ]  # fmt: skip
    assert humanparse.list_models("nothing-*") == []
    assert humanparse.model_info("schp-lip").scheme.key == "lip"
    with pytest.raises(ModelError, match=r"'schp-lpi'; did you mean schp-lip"):
        humanparse.model_info("schp-lpi")


@pytest.mark.parametrize(
    ("section", "name", "path", "value", "fault"),
    [
        ("ensembles", "schp-cihp", "parts", {"global": "schp-cihp-global"}, "a global network and others"),
        ("ensembles", "schp-cihp", "scheme", "cipp", "no label scheme"),
        ("ensembles", "schp-cihp", "colour", "blue", "no field colour"),
        ("ensembles", "schp-cihp", "rule", None, "rule"),
        ("detectors", "maskrcnn_resnet50_fpn_v2", "file", {"filename": "a/b", "sources": []}, "plain name"),
        ("detectors", "maskrcnn_resnet50_fpn_v2", "licence", None, "field 'licence' is missing"),
    ],
)
def test_a_broken_ensemble_or_detector_is_refused_with_its_name_and_fault(
    section: str, name: str, path: str, value: Any, fault: str
) -> None:
    content = copy.deepcopy(CONTENT)
    if value is None:
        del content[section][name][path]
    else:
        content[section][name][path] = value
    with pytest.raises(ManifestError, match=rf"{name}: (.|\n)*{fault}"):
        ensembles.parse(content)
