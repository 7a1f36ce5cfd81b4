"""`humanparse verify`: our own networks' answers stand for published ones, on a local server."""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from command import Run, runner
from golden import SMALL, synthetic_state
from http_server import Answer, Server
from PIL import Image

import humanparse
from humanparse import Parser, Verdict, checkpoint, hub, models, registry
from humanparse.errors import ModelError, UnreachableError, WeightsError
from humanparse.hub import download
from humanparse.people import Person
from humanparse.registry import ModelSpec, Source, WeightFile
from humanparse.schemes import LabelScheme, get_scheme
from humanparse.verification import agreement, answers, plausibility, record
from humanparse.verification.answers import KnownAnswer, KnownFile

PHOTO = SMALL / "images" / "grace_hopper.jpg"
MODEL = registry.DEFAULT
Labels = npt.NDArray[np.uint8]
Publish = Callable[..., KnownAnswer]
Serve = Callable[..., ModelSpec]


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        yield server


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("HUMANPARSE_OFFLINE", "HF_HUB_OFFLINE", "HF_TOKEN", "http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HUMANPARSE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(download, "TIMEOUT", 0.5)
    monkeypatch.setattr(download, "PAUSE", 0.01)
    return tmp_path / "home"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(tmp_path, monkeypatch, capsys)


@pytest.fixture(scope="module")
def ours() -> Labels:
    """The bundled model's labels of the photo."""
    return Parser(device="cpu", precision="float32").predict(PHOTO).labels


def png(labels: Labels, palette: str = "voc", mode: str = "P", scheme: LabelScheme | None = None) -> bytes:
    """A label map as a picture file, with a palette or in its colours."""
    colours = (scheme or get_scheme("atr")).palette(palette)
    picture = Image.fromarray(labels)
    if mode != "L":
        picture.putpalette([value for colour in colours for value in colour])
    file = io.BytesIO()
    (picture if mode in ("L", "P") else picture.convert(mode)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def publish(server: Server, monkeypatch: pytest.MonkeyPatch) -> Publish:
    """Put a photo and a picture of its labels on the server, as the known answer of a model."""

    def published(labels: bytes, model: str = MODEL, **facts: Any) -> KnownAnswer:
        def held(name: str, content: bytes) -> KnownFile:
            url = server.answer(f"/{name}", Answer(content))
            sha256 = hashlib.sha256(content).hexdigest()
            return KnownFile(f"{model}-answer", WeightFile(name, (Source("url", url),), len(content), sha256))

        values: dict[str, Any] = {"shape": (600, 512), "palette": "voc", "origin": "the tests"}
        values |= {"photo": held("demo.jpg", PHOTO.read_bytes()), "labels": held("demo.png", labels)}
        values |= {key: held(f"{key}.png", facts.pop(key)) for key in ("people", "parts") if key in facts}
        known = KnownAnswer(model=model, **(values | facts))
        monkeypatch.setattr(answers, "known", lambda: {model: known})
        monkeypatch.setattr(plausibility, "PHOTOS", plausibility.PHOTOS[:1])  # one is enough beside an answer
        return known

    return published


def verdict(model: str = MODEL, **options: Any) -> Verdict:
    found = humanparse.verify(model, device="cpu", **options)
    assert len(found) == 1 and found[0].model == model
    return found[0]


def told(found: Verdict) -> str:
    return "\n".join(found.reasons)


# --- with a known answer


def test_equal_labels_are_verified_and_the_record_is_shown_by_models(
    ours: Labels, publish: Publish, run: Run, tmp_path: Path
) -> None:
    publish(png(ours))
    assert "never" in run("models", MODEL).out
    found = verdict(pictures=tmp_path / "pictures")
    assert (found.status, found.reasons, found.missing) == ("verified", (), ())
    assert found.agreement is not None
    assert (found.agreement.equal, found.agreement.mean_iou, found.agreement.at_borders) == (1, 1, 1)
    assert found.weights == {"network": hub.sha256(hub.fetch(registry.network(MODEL)))}
    assert (found.load_seconds or 0) > 0 and (found.predict_seconds or 0) > 0 and found.device == "cpu"
    with Image.open(tmp_path / "pictures" / f"{MODEL}.png") as picture:
        assert picture.width > 4 * 500 and picture.height > 600
    done = run("models", MODEL)
    assert "verified" in done.out.splitlines()[1] and "never" not in done.out
    assert "100.000% of a known answer's pixels equal" in run("info", MODEL).out
    assert json.loads(run("models", MODEL, "--json").out)[0]["verified"] == "verified"


def test_colours_and_grey_numbers_are_read_as_the_same_labels(ours: Labels, publish: Publish) -> None:
    publish(png(ours, mode="RGB"))
    assert verdict().status == "verified"


def swapped(labels: Labels) -> Labels:
    """The smallest class with a hundred pixels or more under another class's number."""
    counts = np.bincount(labels.ravel(), minlength=18)
    small = min((label for label in range(18) if counts[label] >= 100), key=lambda label: counts[label])
    absent = next(label for label in range(18) if counts[label] == 0)
    return np.where(labels == small, np.uint8(absent), labels)


def test_one_class_under_another_number_fails_however_small_it_is(ours: Labels, publish: Publish) -> None:
    publish(png(swapped(ours)))
    found = verdict()
    assert found.status == "failed"  # by its IoU, or by its pixels if they are few
    assert "is 0.000; at least" in told(found) or "and none of them here" in told(found)
    assert found.agreement is not None and found.agreement.equal > 0.95
    assert record.read(registry.network(MODEL)).status == "failed"  # type: ignore[union-attr]


def test_a_large_class_under_another_number_is_said_to_be_an_area(ours: Labels, publish: Publish) -> None:
    face = get_scheme("atr").index("Face")
    publish(png(np.where(ours == face, np.uint8(17), ours)))
    found = verdict()
    assert found.status == "failed" and found.agreement is not None
    assert found.agreement.at_borders < 0.2
    assert found.agreement.confusions[0] == ("Scarf", "Face", int((ours == face).sum()))


@pytest.mark.parametrize("pixels", [2, -2])
def test_labels_shifted_by_two_pixels_fail_and_the_difference_lies_at_borders(
    pixels: int, ours: Labels, publish: Publish
) -> None:
    publish(png(np.roll(ours, pixels, axis=1)))
    found = verdict()
    assert found.status == "failed" and "of the pixels are equal; at least" in told(found)
    assert found.agreement is not None and found.agreement.at_borders > 0.6


@pytest.mark.parametrize(
    ("published", "reason"),
    [
        (
            lambda labels: png(labels[:, ::-1].T.copy()),
            r"size \(height, width\) is \(512, 600\), not \(600, 512\)",
        ),
        (lambda labels: png(np.where(labels == 11, np.uint8(200), labels)), "label 200"),
        (
            lambda labels: png(np.where(labels == 11, np.uint8(200), labels), mode="RGB"),
            "is not in the palette voc",
        ),
        (lambda labels: png(labels, palette="other"), "the colour of label 0 is not that of the palette voc"),
        (lambda labels: png(labels, palette="other", mode="RGB"), "is not in the palette voc"),
        (lambda labels: b"no picture", "not a readable picture"),
        (lambda labels: PHOTO.read_bytes(), "is not in the palette voc"),
    ],
    ids=[
        "other size",
        "unknown label",
        "unknown colour",
        "other palette",
        "other colours",
        "damaged",
        "photo",
    ],
)
def test_what_is_no_answer_in_these_labels_fails(
    published: Callable[[Labels], bytes],
    reason: str,
    ours: Labels,
    publish: Publish,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own = LabelScheme.palette
    other = tuple((red, blue, 255 - green) for red, green, blue in own(get_scheme("atr"), "voc"))
    monkeypatch.setattr(
        LabelScheme, "palette", lambda self, name="voc": other if name == "other" else own(self, name)
    )
    publish(published(ours))
    found = verdict()
    assert found.status == "failed"
    assert re.search(reason, told(found)), told(found)


def test_a_palette_whose_entries_were_reordered_without_a_palette_on_record_fails_by_its_pixels(
    ours: Labels, publish: Publish
) -> None:
    order = np.arange(256, dtype=np.uint8)
    order[:18] = order[:18][::-1]
    publish(png(order[ours]), palette=None)
    found = verdict()
    assert found.status == "failed" and found.agreement is not None and found.agreement.equal < 0.5


def test_recorded_pixels_of_each_label_must_be_those_of_the_file(ours: Labels, publish: Publish) -> None:
    counts = {label: int(count) for label, count in enumerate(np.bincount(ours.ravel())) if count}
    publish(png(ours), pixels=counts)
    assert verdict().status == "verified"
    publish(png(ours), pixels={0: ours.size})
    assert "as on record" in told(verdict())


def test_a_changed_hash_fails_and_says_what_was_served(
    ours: Labels, publish: Publish, server: Server, run: Run
) -> None:
    publish(png(ours))
    server.answer("/demo.png", Answer(png(swapped(ours))))
    done = run("verify", MODEL, "--device", "cpu", "-q")
    assert done.status == 1
    assert f"{MODEL}: failed" in done.out
    assert "the known answer is not the file on record" in done.out and "expected" in done.out


def test_without_a_recorded_hash_the_answer_is_trusted_on_first_use_and_enforced_then(
    ours: Labels, publish: Publish, server: Server, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = publish(png(ours))
    loose = replace(known.labels, file=replace(known.labels.file, size=None, sha256=None))
    monkeypatch.setattr(answers, "known", lambda: {MODEL: replace(known, labels=loose)})
    with pytest.warns(UserWarning, match="trusted on first use"):
        assert verdict().status == "verified"
    (hub.place(loose)).unlink()
    first = png(ours)
    server.answer("/demo.png", Answer(first[:-20] + bytes(8) + first[-12:]))
    assert "sha256 is" in told(verdict())


def test_an_unreachable_answer_leaves_the_model_plausible_and_the_exit_status_tells(
    ours: Labels, publish: Publish, server: Server, run: Run
) -> None:
    publish(png(ours))
    server.answer("/demo.png", Answer(status=404))
    done = run("verify", MODEL, "--device", "cpu", "-q")
    assert done.status == 3
    assert f"{MODEL}: plausible" in done.out and "not fetched: demo.png" in done.out


def test_offline_says_what_would_be_fetched_and_asks_nobody(
    ours: Labels, publish: Publish, server: Server, run: Run
) -> None:
    publish(png(ours))
    done = run("verify", MODEL, "--device", "cpu", "--offline")
    assert done.status == 3 and server.count() == 0
    assert f"would fetch: demo.jpg (61 kB) from {server.url}/demo.jpg" in done.out
    assert f"{MODEL}: plausible" in done.out
    assert run("verify", MODEL, "--device", "cpu", "-q").status == 0
    before = server.count()
    assert run("verify", MODEL, "--device", "cpu", "--offline").status == 0, "all is here now"
    assert server.count() == before


def test_what_is_only_reported_never_fails(ours: Labels, publish: Publish, run: Run) -> None:
    publish(png(np.roll(ours, 40, axis=1)), binding=False, note="made otherwise")
    done = run("verify", MODEL, "--device", "cpu", "-q")
    assert done.status == 0
    assert (
        f"{MODEL}: plausible" in done.out
        and "reported only" in done.out
        and "of the pixels equal" in done.out
    )


def test_json_holds_everything(ours: Labels, publish: Publish, run: Run) -> None:
    publish(png(np.roll(ours, 2, axis=1)))
    done = run("verify", MODEL, "--device", "cpu", "-q", "--json", "--picture", "out")
    (found,) = json.loads(done.out)
    assert (done.status, found["status"], found["picture"]) == (
        1,
        "failed",
        str(Path("out") / f"{MODEL}.png"),
    )
    assert 0.9 < found["agreement"]["equal"] < 0.999 and 0 < found["agreement"]["mean_iou"] < 1
    assert found["agreement"]["confusions"][0][2] > 0 and Path(found["picture"]).is_file()


def test_the_input_of_the_network_is_held_against_the_originals_bytes(ours: Labels, publish: Publish) -> None:
    from humanparse import image
    from humanparse.geometry import Frame

    pixels = image.load(PHOTO)
    fitted = Frame((600, 512), registry.network(MODEL).input).resample(pixels).contiguous().numpy()
    publish(png(ours), input_sha1=hashlib.sha1(fitted.tobytes()).hexdigest())
    assert verdict().input_equal is True
    publish(png(ours), input_sha1="0" * 40)
    found = verdict()
    assert found.input_equal is False and found.status == "verified"


# --- published weights


@pytest.fixture
def served(server: Server, monkeypatch: pytest.MonkeyPatch) -> Serve:
    """A model whose weights are this content, at this address."""
    real = registry.get

    def made(name: str, content: bytes, sha256: str | None = None, url: str | None = None) -> ModelSpec:
        spec = real(name)
        assert isinstance(spec, ModelSpec)
        url = url or server.answer("/w.pth", Answer(content))
        file = WeightFile(
            "w.pth", (Source("url", url),), len(content), sha256 or hashlib.sha256(content).hexdigest()
        )
        spec = replace(spec, file=file)
        monkeypatch.setattr(registry, "get", lambda asked: spec if asked == name else real(asked))
        return spec

    return made


@pytest.mark.slow
def test_schps_weights_and_answer_from_the_server_are_verified(
    served: Serve, publish: Publish, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "TIMEOUT", 60.0)
    state = synthetic_state("schp-lip", "schp")
    torch.save({"state_dict": {f"module.{key}": value for key, value in state.items()}}, tmp_path / "w.pth")
    theirs = Parser("schp-lip", weights=tmp_path / "w.pth", device="cpu").predict(PHOTO).labels
    served("schp-lip", (tmp_path / "w.pth").read_bytes())
    publish(png(theirs, scheme=get_scheme("lip")), model="schp-lip")
    found = verdict("schp-lip")
    assert found.agreement is not None and found.agreement.equal == 1
    # Untrained, it sees nobody: the answer agrees, and yet the labels make no sense.
    assert found.status == "failed" and "grace_hopper.jpg" in told(found)
    monkeypatch.setattr(plausibility, "PHOTOS", ())
    assert verdict("schp-lip").status == "verified"


def test_weights_of_another_model_fail_with_their_keys(served: Serve, tmp_path: Path) -> None:
    checkpoint.save({"a": torch.zeros(1)}, tmp_path / "w.pth", {})
    served("schp-atr", (tmp_path / "w.pth").read_bytes())
    found = verdict("schp-atr")
    assert found.status == "failed" and "does not fit schp-atr" in told(found)


def test_weights_with_another_hash_fail(served: Serve) -> None:
    served("schp-pascal", b"x" * 1000, sha256="0" * 64)
    found = verdict("schp-pascal")
    assert found.status == "failed" and "sha256 is" in told(found)


def test_weights_that_nobody_serves_are_unreachable_and_nothing_is_recorded(served: Serve, run: Run) -> None:
    spec = served("ssseg-ce2p-r50-os16-lip", b"x" * 1000, url="http://127.0.0.1:9/w.pth")
    done = run("verify", spec.name, "-q")
    assert done.status == 3
    assert f"{spec.name}: unreachable" in done.out
    assert "not fetched: w.pth (1 kB) from http://127.0.0.1:9/w.pth" in done.out
    assert record.read(spec) is None


def test_untrained_weights_are_implausible(served: Serve, tmp_path: Path) -> None:
    spec = registry.network(MODEL)
    torch.manual_seed(0)
    checkpoint.save(models.build(spec).state_dict(), tmp_path / "w.pth", {})
    served(MODEL, (tmp_path / "w.pth").read_bytes())
    found = verdict()
    assert found.status == "failed" and "must be" in told(found)


def test_models_that_no_program_can_fetch_are_skipped_and_do_not_fail_a_run_over_all(run: Run) -> None:
    done = run("verify", "smp-r50-mhpv2", "-q")
    said = done.out.replace("\n ", ",")
    assert done.status == 3 and "smp-r50-mhpv2: skipped, no program can download" in said


def test_the_bundled_model_is_plausible_without_a_network(run: Run) -> None:
    done = run("verify", MODEL, "--device", "cpu", "--offline")
    assert done.status == 0 and f"{MODEL}: plausible" in done.out


def test_names_are_patterns_and_none_stands_for_those_with_a_known_answer() -> None:
    from humanparse.verification import select

    assert select([]) == ["schp-atr", "schp-cihp", "schp-lip", "schp-pascal"]
    assert select(["schp-l*", MODEL]) == sorted(["schp-lip", MODEL])
    with pytest.raises(ModelError, match="did you mean schp-lip"):
        select(["schp-lpi"])


def test_shards_hold_every_model_once(run: Run) -> None:
    shares = [run("verify", "smp-*", "--shard", f"{number}/2", "-q").out for number in (1, 2)]
    found = [
        line.partition(":")[0] for share in shares for line in share.splitlines() if line.startswith("smp")
    ]
    assert sorted(found) == humanparse.list_models("smp-*") and len(shares[0]) != len(shares[1])


# --- several people


def test_published_people_are_given_to_the_model_and_theirs_found_again(ours: Labels) -> None:
    scheme = get_scheme("atr")
    masks = np.zeros((2, *ours.shape), bool)
    masks[0, :, :250], masks[1, :, 250:] = ours[:, :250] > 0, ours[:, 250:] > 0
    people = tuple(
        Person.cut(number, (0, 0, 512, 600), 1.0, ours, mask, scheme) for number, mask in enumerate(masks, 1)
    )
    parts = (ours * 2 + (np.arange(512) >= 250)).astype(np.uint8)
    parts[ours == 0] = 0
    count = len(np.unique(parts)) - 1
    assert agreement.compare_people(people, masks, ours, parts) == {
        "people": (2, 2),
        "parts of people": (count, count),
    }
    found = agreement.compare_people(people[:1], masks, ours, parts)
    assert found["people"] == (1, 2) and 0 < found["parts of people"][0] < count


def test_an_answer_with_people_is_compared_with_the_same_people(publish: Publish, run: Run) -> None:
    numbers = np.zeros((600, 512), np.uint8)
    numbers[100:600, 40:256], numbers[100:600, 256:480] = 1, 2
    masks = np.stack([numbers == 1, numbers == 2])
    theirs = Parser(device="cpu", precision="float32").predict(PHOTO, people=masks)
    parts, count = np.zeros_like(numbers), 0
    for person in theirs.people:
        for part in person.parts():
            count += 1
            parts[person.part(part.label)] = count
    grey = {"mode": "L"}
    publish(png(theirs.labels), people=png(numbers, **grey), parts=png(parts, **grey), binding=False)
    found = verdict()
    assert found.status == "plausible" and found.agreement is not None and found.agreement.equal == 1
    assert found.agreement.people is not None
    assert found.agreement.people["people"] == (2, 2)
    hits, of = found.agreement.people["parts of people"]
    assert of >= 4 and hits == of
    line = run("verify", MODEL, "--device", "cpu", "-q").out
    assert "2 of 2 people found" in line and "reported only" in line


# --- agreement


def test_small_and_large_classes_have_their_own_bounds() -> None:
    scheme = get_scheme("pascal")
    theirs = np.zeros((1000, 1000), np.uint8)
    theirs[100:300, 100:300], theirs[500:510, 500:515] = 1, 2
    fine = theirs.copy()
    fine[100:110, 100:300] = 0  # IoU 0.95
    found = agreement.compare(fine, theirs, scheme)
    assert agreement.faults(found, theirs, scheme, 0.995, 0.9) == []
    assert found.iou["Head"] == pytest.approx(0.95) and found.confusions == (("Head", "Background", 2000),)
    worse = theirs.copy()
    worse[100:130, 100:300] = 0
    assert (
        "IoU of Head is 0.850"
        in agreement.faults(agreement.compare(worse, theirs, scheme), theirs, scheme, 0.9, 0.9)[0]
    )
    lost = np.where(theirs == 2, np.uint8(0), theirs)
    assert (
        "Torso has 150 pixels"
        in agreement.faults(agreement.compare(lost, theirs, scheme), theirs, scheme, 0.995, 0.9)[0]
    )


# --- plausibility


def words(text: str) -> list[str]:
    return text.split()


GOLIATH = words(
    "Background Apparel Eyeglass Face_Neck Hair Left_Foot Left_Hand Left_Lower_Arm Left_Lower_Leg Left_Shoe "
    "Left_Sock Left_Upper_Arm Left_Upper_Leg Lower_Clothing Right_Foot Right_Hand Right_Lower_Arm "
    "Right_Lower_Leg Right_Shoe Right_Sock Right_Upper_Arm Right_Upper_Leg Torso Upper_Clothing Lower_Lip "
    "Upper_Lip Lower_Teeth Upper_Teeth Tongue"
)
FASHN = words(
    "background face hair top dress skirt pants belt bag hat scarf glasses arms hands legs feet torso jewelry"
)
CLOTHES = ["Everything Else", *words("shirt/blouse jacket pants glasses hat leg-warmer shoe sleeve")]
FACES = words("background skin nose l_eye r_eye l_brow r_brow mouth u_lip l_lip hair hat neck cloth")


@pytest.mark.parametrize(
    ("names", "head", "trunk", "legs", "everybody"),
    [
        (
            GOLIATH,
            {"Face_Neck", "Hair", "Upper_Lip"},
            {"Torso", "Apparel", "Upper_Clothing"},
            {"Left_Upper_Leg"},
            28,
        ),
        (FASHN, {"face", "hair", "glasses"}, {"top", "dress", "torso"}, {"legs", "pants", "feet"}, 17),
        (CLOTHES, {"glasses", "hat"}, {"shirt/blouse", "jacket"}, {"pants", "shoe"}, 0),
        (FACES, {"skin", "l_eye", "u_lip", "neck"}, {"cloth"}, set(), 13),
        (get_scheme("pascal").names, {"Head"}, {"Torso"}, {"Upper Legs", "Lower Legs"}, 6),
        (get_scheme("cihp").names, {"Face", "Hat"}, {"Torso-skin", "Dress"}, {"Pants"}, 19),
        (get_scheme("cityscapes").names, set(), set(), set(), 2),
        (get_scheme("ade20k").names, set(), set(), set(), 1),
    ],
    ids=["sapiens2", "fashn", "fashionpedia", "faces", "pascal", "cihp", "cityscapes", "ade20k"],
)
def test_labels_are_sorted_by_their_names_in_any_scheme(
    names: list[str], head: set[str], trunk: set[str], legs: set[str], everybody: int
) -> None:
    scheme = LabelScheme("any", tuple(names))
    found = plausibility.groups(scheme)
    for wanted, sort in ((head, found.head), (trunk, found.trunk), (legs, found.legs)):
        assert wanted <= {names[label] for label in sort}
        assert bool(wanted) == bool(sort)
    assert len(found.person) == everybody
    arms = {label for label, name in enumerate(names) if "arm" in name.lower().split("_") or "arms" in name}
    assert not arms & (found.head | found.trunk | found.legs) or names is CLOTHES


def drawn(photo: plausibility.Photo, scheme: LabelScheme) -> Labels:
    """Labels as they should be: a head above a trunk, on background."""
    with Image.open(photo.path) as picture:
        labels = np.zeros((picture.height, picture.width), np.uint8)
    found = plausibility.groups(scheme)
    for (x0, y0, x1, y1), sort in ((photo.face, found.head), (photo.trunk, found.trunk)):
        labels[y0 - 20 : y1 + 10, max(0, x0 - 20) : x1 + 20] = min(sort or found.person)
    return labels


@pytest.mark.parametrize("names", [GOLIATH, FASHN, CLOTHES, FACES, get_scheme("voc").names])
@pytest.mark.parametrize("photo", plausibility.PHOTOS, ids=lambda photo: photo.name)
def test_a_head_above_a_trunk_is_plausible_and_nonsense_is_not(
    photo: plausibility.Photo, names: list[str]
) -> None:
    scheme = LabelScheme("any", tuple(names))
    good = drawn(photo, scheme)

    def faults(labels: Labels, mirrored: Labels | None = None) -> str:
        return " ".join(plausibility.faults(photo, labels, labels if mirrored is None else mirrored, scheme))

    assert faults(good) == ""
    assert "mirrored" in faults(good, np.roll(good, good.shape[1] // 2, axis=1) * 0 + 3)
    assert faults(good[::-1].copy()) != "", "upside down"
    assert faults(np.zeros_like(good)) != "", "nobody"
    if plausibility.groups(scheme).person:
        assert "plain background" in faults(np.full_like(good, min(plausibility.groups(scheme).person)))


def test_mirrored_labels_have_their_sides_exchanged() -> None:
    scheme = get_scheme("lip")
    left, right = scheme.index("Left-arm"), scheme.index("Right-arm")
    labels = np.zeros((2, 4), np.uint8)
    labels[:, 0] = left
    assert (plausibility.mirrored_back(labels, scheme)[:, 3] == right).all()


# --- the manifest, the record


@pytest.mark.parametrize("answer", answers.known().values(), ids=lambda answer: answer.model)
def test_a_known_answer_of_the_manifest_is_whole(answer: KnownAnswer) -> None:
    spec = registry.get(answer.model)
    assert len(set(answer.files)) == (4 if answer.people else 2)
    for file in answer.files:
        (source,) = file.file.sources
        repository, _, commit = answer.origin.partition(" at ")
        assert source.url.startswith("https://") and f"/{repository}/{commit}/" in source.url
        assert len(commit) == 40 and source.url.endswith(f"/{file.file.filename}")
        assert re.fullmatch(r"[0-9a-f]{64}", file.file.sha256 or "") and (file.file.size or 0) > 0
    assert answer.pixels is not None and max(answer.pixels) < len(spec.scheme)
    assert sum(answer.pixels.values()) == answer.shape[0] * answer.shape[1]
    assert answer.palette is None or len(spec.scheme.palette(answer.palette)) == 256
    assert answer.input_sha1 is None or re.fullmatch(r"[0-9a-f]{40}", answer.input_sha1)
    assert 0.9 < answer.least_equal < 1 and 0.5 < answer.least_iou < 1
    assert answer.binding != bool(answer.note) and (answer.parts is None or answer.people is not None)


def test_the_known_answers_are_schps() -> None:
    assert {name: answer.binding for name, answer in answers.known().items()} == {
        "schp-lip": True, "schp-atr": True, "schp-pascal": True, "schp-cihp": False,
    }  # fmt: skip


def test_a_record_of_other_weights_or_a_damaged_one_counts_as_never(run: Run) -> None:
    spec = registry.network(MODEL)
    good = record.Record(
        "plausible", "2026-01-01T00:00:00+00:00", "0.1.0", {"network": spec.file.sha256 or ""}
    )
    record.write(spec, good)
    assert record.read(spec) == good
    record.write(spec, replace(good, weights={"network": "0" * 64}))
    assert record.read(spec) is None and "never" in run("models", MODEL).out
    record.place(spec).write_text("{", encoding="utf-8")
    with pytest.warns(UserWarning, match="cannot be read"):
        assert record.read(spec) is None


def test_a_cache_that_cannot_be_written_only_warns(home: Path) -> None:
    home.mkdir(parents=True)
    (home / "verified").write_text("a file in the way")
    with pytest.warns(UserWarning, match="could not be written"):
        record.write(registry.network(MODEL), record.Record("plausible", "", "", {}))


def test_unreachable_and_wrong_files_are_told_apart(server: Server, home: Path) -> None:
    def fetched(url: str) -> type[WeightsError]:
        spec = replace(
            registry.network("schp-lip"), file=WeightFile("w.pth", (Source("url", url),), 4, "0" * 64)
        )
        with pytest.raises(WeightsError) as caught:
            hub.fetch(spec)
        return caught.type

    assert fetched("http://127.0.0.1:9/w.pth") is UnreachableError
    assert fetched(server.url + "/missing") is UnreachableError
    assert fetched(server.answer("/w", Answer(b"four"))) is WeightsError
    assert fetched(server.answer("/size", Answer(b"more than four"))) is WeightsError
    assert fetched(server.answer("/page", Answer(b"<!DOCTYPE html>", kind="text/html"))) is WeightsError
