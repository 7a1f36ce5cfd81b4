"""Contact sheets: the most doubtful outputs of a run, for a person to look at."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from command import Run, runner
from golden import SMALL
from PIL import Image

from humanparse import BulkError, FormatError, ParserOptions, bulk, image
from humanparse.bulk.journal import Journal
from humanparse.bulk.writers import INTEGRATEDPIFU

CHEAP = ParserOptions(device="cpu", test_size=(64, 96))


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `humanparse` in this process, in an empty folder with an empty cache."""
    return runner(tmp_path, monkeypatch, capsys)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Six pieces of a portrait, one of them of the wall behind it."""
    folder = tmp_path / "photos"
    folder.mkdir()
    pixels = image.load(SMALL / "images" / "grace_hopper.jpg")
    for number in range(6):
        piece = pixels[:60, :50] if number == 4 else pixels[40 * number : 40 * number + 200, 100:400]
        Image.fromarray(piece).save(folder / f"{number}<b>.png")
    return folder


def label(photos: Path, dest: Path, *formats: str, **options: object) -> None:
    settings = bulk.Settings(formats=formats, **options)  # type: ignore[arg-type]
    bulk.label(photos, dest, model=CHEAP, settings=settings)


def doubtful(dest: Path) -> list[str]:
    """Places in the order that the journal's own numbers demand."""
    journal = Journal(dest / ".humanparse" / "all" / "journal.sqlite", writable=False)
    seen = {item.found.place: journal.statistics(item.number) for item in journal.items(0, 100)}
    return sorted(seen, key=lambda place: getattr(seen[place], "confidence", 0.0))


def shown(page: Path) -> list[str]:
    return [
        place.replace("&lt;", "<").replace("&gt;", ">")
        for place in re.findall(r"\d+\. (\d.*?png)", page.read_text(encoding="utf-8"))
    ]


@pytest.mark.parametrize("formats", [("png",), ("npz",), ("tar",), ("parquet",)])
def test_the_least_confident_outputs_come_first_whatever_the_format(
    formats: tuple[str, ...], photos: Path, tmp_path: Path
) -> None:
    label(photos, tmp_path / "out", *formats, pack_size=4)
    assert bulk.contact_sheet(tmp_path / "out", tmp_path / "page.html", count=4) == 4
    assert shown(tmp_path / "page.html") == doubtful(tmp_path / "out")[:4]


def test_a_picture_has_a_cell_for_each_output_with_its_parts_tinted(run: Run, photos: Path) -> None:
    label(photos, Path("out"), "png")
    done = run("contact-sheet", "out", "-o", "sheet.png", "--columns", 2, "--side", 100, "--count", 5)
    assert done.status == 0 and done.out == "5 outputs in sheet.png\n"
    with Image.open("sheet.png") as sheet:
        assert sheet.size == (2 * 108 + 8, 3 * 142 + 8)
        top = 8 + 2 * 142
        surest = sheet.crop((8, top, 108, top + 100))
    place = doubtful(Path("out"))[4]
    with Image.open(photos / place) as photo:
        photo.thumbnail((100, 100))
        plain = Image.new("RGB", (100, 100), "white")
        plain.paste(photo, ((100 - photo.width) // 2, (100 - photo.height) // 2))
    differs = np.abs(np.asarray(surest, np.int64) - np.asarray(plain)).max(axis=2) > 20
    assert 0.05 < differs.mean() < 0.95


def test_orders_show_other_outputs_first(photos: Path, tmp_path: Path) -> None:
    label(photos, tmp_path / "out", "png", min_confidence=0.9)
    bulk.contact_sheet(tmp_path / "out", tmp_path / "page.html", order="person")
    assert shown(tmp_path / "page.html")[0] == "4<b>.png"
    bulk.contact_sheet(tmp_path / "out", tmp_path / "page.html", order="unsure")
    assert shown(tmp_path / "page.html")[-1] != shown(tmp_path / "page.html")[0] != "4<b>.png"


def test_shards_are_shown_together(photos: Path, tmp_path: Path) -> None:
    for number in (1, 2):
        bulk.label(photos, tmp_path / "out", model=CHEAP, shard=(number, 2))
    label(photos, tmp_path / "whole", "png")
    for folder in ("out", "whole"):
        bulk.contact_sheet(tmp_path / folder, tmp_path / f"{folder}.html")
    assert shown(tmp_path / "out.html") == shown(tmp_path / "whole.html")


def test_photos_that_are_gone_are_said_to_be(photos: Path, tmp_path: Path) -> None:
    label(photos, tmp_path / "out", "png")
    (photos / "2<b>.png").unlink()
    bulk.contact_sheet(tmp_path / "out", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert page.count("without its photo") == 1 and "there is no such file" in page
    shutil.rmtree(photos)
    bulk.contact_sheet(tmp_path / "out", tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text().count("the source is gone") == 6


def test_part_maps_for_integratedpifu_are_shown(photos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "root" / "rendering_script" / "buffer_fixed_full_mesh" / "0001"
    folder.mkdir(parents=True)
    shutil.copy(photos / "0<b>.png", folder / "image_000.png")
    (tmp_path / "root" / "train_set_list.txt").write_text("0001\n")
    options = {"model": CHEAP, "split": "train", "approximate": True}
    bulk.label_subjects(tmp_path / "root", tmp_path / "out", **options)  # type: ignore[arg-type]
    values = np.load(tmp_path / "out" / "0001" / "parse_000.npy")
    labels = INTEGRATEDPIFU.read(tmp_path / "out" / "0001" / "parse_000.npy").labels
    assert set(zip(values.ravel().tolist(), labels.ravel().tolist(), strict=True)) <= {
        (float(np.float32(value)), label) for label, value in enumerate((0, 0.5, 0.6, 0.7, 0.8, 0.9, 1))
    }
    assert bulk.contact_sheet(tmp_path / "out", tmp_path / "sheet.jpg") == 1


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH: apt-get install chromium (Debian)")
def test_links_to_any_name_open_in_a_browser(tmp_path: Path) -> None:
    playwright = pytest.importorskip("playwright.sync_api")
    names = ["plain", "a b#1", "50%25", "100%", "what?", "it's", 'say "hi" & <b>', "grün:me", "deep er/x;y=1"]
    for number, name in enumerate(names):
        path = tmp_path / "pho#tos" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(number).integers(0, 256, (30 + number, 40, 3), dtype=np.uint8)
        Image.fromarray(noise).save(path)
    (tmp_path / "pages").mkdir()
    label(tmp_path / "pho#tos", tmp_path / "la bels%20", "png")
    assert bulk.contact_sheet(tmp_path / "la bels%20", tmp_path / "pages" / "sheet.html") == len(names)
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        page.goto((tmp_path / "pages" / "sheet.html").as_uri())
        links = page.eval_on_selector_all("a", "(all) => all.map((link) => [link.innerText, link.href])")
        assert len(links) == len(names)
        for text, address in links:
            page.goto(address)
            height = page.evaluate("document.querySelector('img').naturalHeight")
            assert names[height - 30] == text.partition(". ")[2].removesuffix(".png")
        browser.close()


def test_names_that_are_no_utf_8_are_shown_as_far_as_they_are(tmp_path: Path) -> None:
    os.mkdir(tmp_path / "in")
    odd = Path(os.fsdecode(os.fsencode(tmp_path / "in") + b"/caf\xe9.png"))
    Image.new("RGB", (40, 30), "red").save(odd)
    label(tmp_path / "in", tmp_path / "out", "png")
    for name in ("sheet.html", "sheet.png"):
        assert bulk.contact_sheet(tmp_path / "out", tmp_path / name) == 1
    assert "caf?.png" in (tmp_path / "sheet.html").read_text(encoding="utf-8")


def test_a_run_that_was_refused_before_it_began_is_told(run: Run, photos: Path) -> None:
    assert run("label", photos, "-o", "out", "-m", "schp-lip", "--offline").status == 1
    done = run("contact-sheet", "out", "-o", "sheet.html")
    assert done.status == 1 and "was refused before it labelled anything" in done.err
    assert "internal error" not in done.err and not Path("sheet.html").exists()
    assert run("label", "--status", "out").status == 3
    label(photos, Path("out"), "png")
    assert run("contact-sheet", "out", "-o", "sheet.html").status == 0


def test_what_cannot_be_shown_says_why(run: Run, photos: Path, tmp_path: Path) -> None:
    with pytest.raises(BulkError, match="no run has written here"):
        bulk.contact_sheet(tmp_path / "nothing", tmp_path / "sheet.jpg")
    label(photos, tmp_path / "overlays", "overlay")
    with pytest.raises(BulkError, match="this run only wrote overlay"):
        bulk.contact_sheet(tmp_path / "overlays", tmp_path / "sheet.jpg")
    label(photos, tmp_path / "plain", "png", confidence=False)
    with pytest.raises(BulkError, match="none with confidence"):
        bulk.contact_sheet(tmp_path / "plain", tmp_path / "sheet.jpg")
    with pytest.raises(FormatError, match=r"a \.jpg, \.png or \.html file"):
        bulk.contact_sheet(tmp_path / "plain", tmp_path / "sheet.gif")
    assert run("contact-sheet", "plain", "-o", "sheet.jpg", "--order", "name").status == 1
    assert run("contact-sheet", "plain", "-o", "sheet.jpg", "--count", "0").status == 1
    assert not list(tmp_path.glob("sheet.*")) and not list(tmp_path.glob(".*.part"))
