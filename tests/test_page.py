"""The browser page, in a real Chromium, before a real service with the bundled model."""

from __future__ import annotations

import base64
import io
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from serving import serving, until

from humanparse import Parser, ParserOptions, Parsing, get_scheme, image
from humanparse.pipelines.pipeline import Pipeline
from humanparse.serve import ServeSettings

playwright = pytest.importorskip("playwright.sync_api")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium on PATH: apt-get install chromium (Debian), or put one there"
)

EXAMPLES = Path(__file__).parents[1] / "examples"
HOPPER, ASTRONAUT = EXAMPLES / "grace_hopper.jpg", EXAMPLES / "astronaut.png"
NOTES = {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"These are no pixels."}
ATR = get_scheme("atr")
FACE = ATR.index("Face")


class KnownPeople(Parser):
    """The bundled parser, told where people are when it is to find them."""

    def pipeline_for(self, people: Any = None) -> Pipeline:
        return super().pipeline_for(BOXES if isinstance(people, str) else people)


BOXES = [(0, 0, 512, 600), (512, 0, 1024, 600)]


@pytest.fixture(scope="module")
def parser() -> Parser:
    return KnownPeople()


@pytest.fixture(scope="module")
def service(parser: Parser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Two models, the second without its weights; people can be found, as the page is told."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HUMANPARSE_OFFLINE", "1")
        patch.setenv("HUMANPARSE_HOME", str(tmp_path_factory.mktemp("home")))
        known = ParserOptions("lite-atr", weights={"detector": "known"})
        settings = ServeSettings(models=(known, "schp-lip"), people=False)
        with serving(settings, {"lite-atr": parser}, ready=False) as served:
            yield f"http://127.0.0.1:{served.port}/"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--use-fake-device-for-media-stream"]
        )
        yield chromium
        chromium.close()


@dataclass
class Visit:
    """The page in a fresh profile, and what went wrong in it."""

    page: Any
    url: str
    troubles: list[str] = field(default_factory=list)

    def upload(self, photo: Any) -> None:
        """Give it a photo and wait for the outcome."""
        self.page.set_input_files("#file", photo)
        self.settle()

    def settle(self) -> None:
        self.page.locator('#stage[aria-busy="false"]').wait_for()
        self.frame()

    def know_models(self) -> None:
        """Wait until the models that can be chosen are there."""
        self.page.locator("#model option").first.wait_for(state="attached")

    def frame(self) -> None:
        """Until what is drawn in the next frame is drawn."""
        self.page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def text(self, selector: str) -> str:
        return str(self.page.inner_text(selector))

    def point(self, x: float, y: float, size: tuple[int, int], pane: str = "#marked") -> None:
        """Move the mouse to the middle of a photo's pixel; size: (height, width) of the photo."""
        self.page.locator(pane).scroll_into_view_if_needed()
        box = self.page.locator(pane).bounding_box()
        self.page.mouse.move(
            box["x"] + (x + 0.5) * box["width"] / size[1], box["y"] + (y + 0.5) * box["height"] / size[0]
        )
        self.frame()

    def pixels(self, canvas: str = "#overlay") -> npt.NDArray[np.uint8]:
        """RGBA uint8 (H, W, 4) of a canvas."""
        width, height, text = self.page.evaluate(
            """(selector) => {
                const canvas = document.querySelector(selector);
                const { width, height } = canvas;
                const options = { willReadFrequently: true };
                const copy = new OffscreenCanvas(width, height).getContext("2d", options);
                copy.drawImage(canvas, 0, 0);
                const { data } = copy.getImageData(0, 0, width, height);
                let text = "";
                for (let at = 0; at < data.length; at += 32768) {
                    text += String.fromCharCode(...data.subarray(at, at + 32768));
                }
                return [width, height, btoa(text)];
            }""",
            canvas,
        )
        return np.frombuffer(base64.b64decode(text), np.uint8).reshape(height, width, 4)

    def refused(self, *statuses: int) -> None:
        """These errors were meant; the browser reports each on its console."""
        said = [trouble for trouble in self.troubles if "Failed to load resource" in trouble]
        assert [any(f"{status} (" in one for one in said) for status in statuses] == [True] * len(statuses)
        self.troubles[:] = [trouble for trouble in self.troubles if trouble not in said]


@contextmanager
def visiting(browser: Any, url: str, **options: Any) -> Iterator[Visit]:
    """Open the page; nothing may come from elsewhere or be reported on the console."""
    context = browser.new_context(**{"viewport": {"width": 1200, "height": 900}, **options})
    page = context.new_page()
    page.set_default_timeout(10_000)
    visit = Visit(page, url)

    def asked(request: Any) -> None:
        if not request.url.startswith((url, "blob:", "data:")):
            visit.troubles.append(f"asked for {request.url}")

    def said(message: Any) -> None:
        if message.type in ("error", "warning"):
            visit.troubles.append(message.text)

    page.on("request", asked)
    page.on("console", said)
    page.on("pageerror", lambda error: visit.troubles.append(str(error)))
    page.goto(url)
    try:
        yield visit
        assert visit.troubles == []
    finally:
        context.close()


@pytest.fixture
def visit(browser: Any, service: str) -> Iterator[Visit]:
    with visiting(browser, service) as visit:
        visit.know_models()
        yield visit


@pytest.fixture(scope="module")
def hopper(parser: Parser) -> Parsing:
    return parser.predict(HOPPER)


def middle(mask: npt.NDArray[np.bool_]) -> tuple[int, int]:
    """x, y of a pixel of the mask that is far from its edge."""
    inner = mask
    while True:
        padded = np.pad(inner, 1)
        core = inner & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
        if not core.any():
            y, x = np.argwhere(inner)[0]
            return int(x), int(y)
        inner = core


def contour(labels: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Where a neighbour above, below or beside has another label."""
    edge = np.zeros(labels.shape, bool)
    across, down = labels[:, 1:] != labels[:, :-1], labels[1:] != labels[:-1]
    edge[:, 1:] |= across
    edge[:, :-1] |= across
    edge[1:] |= down
    edge[:-1] |= down
    return edge


def names(parsing: Parsing) -> list[str]:
    """Of its parts, the largest first."""
    return [part.name for part in sorted(parsing.parts(), key=lambda part: -part.pixels)]


def test_a_photo_gets_its_parts_in_their_colours(visit: Visit, hopper: Parsing) -> None:
    visit.upload(HOPPER)
    assert visit.page.locator("#parts .name").all_inner_texts() == names(hopper)
    face = next(part for part in hopper.parts() if part.name == "Face")
    row = visit.page.get_by_role("listitem").filter(has_text="Face")
    assert row.locator(".share").inner_text() == f"{100 * face.share:.1f}%"
    drawn = visit.pixels()
    assert drawn.shape[:2] == hopper.size
    assert (drawn[hopper.labels == 0] == 0).all()
    x, y = middle(hopper.labels == FACE)
    assert np.abs(drawn[y, x].astype(int) - [*ATR.palette("display")[FACE], 153]).max() <= 2  # 60 % opaque
    edge, body = drawn[y, :, :3][contour(hopper.labels)[y] & (hopper.labels[y] == FACE)], drawn[y, x, :3]
    assert len(edge) and (edge >= body).all() and (edge.astype(int).sum(axis=1) > int(body.sum()) + 60).all()
    for label in np.unique(hopper.labels[hopper.labels > 0]):
        assert (drawn[hopper.labels == label][:, 3] == 153).all()
    assert visit.text("#status").startswith(f"lite-atr found {len(names(hopper))} parts in ")


def test_the_part_under_the_pointer_is_lit_and_named(visit: Visit, hopper: Parsing) -> None:
    visit.upload(HOPPER)
    face, clothes = (middle(hopper.mask(name)) for name in ("Face", "Upper-clothes"))
    visit.point(*face, hopper.size)
    share = {part.name: f"{100 * part.share:.1f}%" for part in hopper.parts()}
    assert visit.text("#reading") == f"Face: {share['Face']} of the photo"
    assert visit.text("#tag") == f"Face {share['Face']}"
    assert visit.page.locator("#parts .lit .name").all_inner_texts() == ["Face"]
    lit = visit.pixels()
    assert lit[face[1], face[0], 3] > 153 > lit[clothes[1], clothes[0], 3] > 0
    edge = hopper.mask("Face") & (lit == 255).all(axis=2)
    assert 100 < edge.sum() < hopper.mask("Face").sum() / 4

    visit.page.mouse.move(1, 1)
    visit.frame()
    assert visit.pixels()[face[1], face[0], 3] == visit.pixels()[clothes[1], clothes[0], 3] == 153
    assert visit.page.locator("#tag").is_hidden()


def test_every_point_reads_the_label_that_the_service_gave_it(visit: Visit, hopper: Parsing) -> None:
    visit.upload(HOPPER)
    random = np.random.default_rng(5)
    for y, x in zip(random.integers(0, 600, 12), random.integers(0, 512, 12), strict=True):
        visit.point(x, y, hopper.size)
        label = hopper.labels[y, x]
        share = np.mean(hopper.labels == label)
        text = "under 0.1%" if share < 0.0005 else f"{100 * share:.1f}%"
        assert visit.text("#reading") == f"{ATR.name(int(label))}: {text} of the photo"


def test_a_part_can_be_hidden_and_shown(visit: Visit, hopper: Parsing) -> None:
    visit.upload(HOPPER)
    shown = visit.pixels()
    visit.page.get_by_role("checkbox", name="Face").uncheck()
    visit.page.mouse.move(1, 1)
    visit.page.evaluate("document.activeElement.blur()")
    visit.frame()
    without = visit.pixels()
    face = hopper.mask("Face")
    assert (without[face] == 0).all() and np.array_equal(without[~face], shown[~face])
    visit.page.get_by_role("button", name="Hide all").click()
    visit.frame()
    assert not visit.pixels().any()
    visit.page.get_by_role("button", name="Show all").click()
    visit.frame()
    assert np.array_equal(visit.pixels(), shown)


def test_a_groups_button_shows_its_parts_alone(visit: Visit, hopper: Parsing) -> None:
    visit.upload(HOPPER)
    offered = visit.page.locator("#groups button").all_inner_texts()
    assert offered == [name for name, _ in ATR.groups if hopper.mask(name).any()]
    for group in ("clothes", "head"):
        visit.page.get_by_role("button", name=group, exact=True).click()
        visit.page.mouse.move(1, 1)
        visit.page.evaluate("document.activeElement.blur()")
        visit.frame()
        assert np.array_equal(visit.pixels()[..., 3] > 0, hopper.mask(group))
        shown = [name for name in names(hopper) if hopper.scheme.index(name) in ATR.members(group)]
        assert visit.page.locator("#parts li:has(:checked) .name").all_inner_texts() == shown
    visit.page.get_by_label("Label set").select_option("coarse")
    visit.settle()
    coarse = hopper.remap("coarse")
    assert visit.page.locator("#groups button").all_inner_texts() == [
        name for name, _ in coarse.scheme.groups if coarse.mask(name).any()
    ]


def test_a_second_photo_begins_with_all_its_parts(visit: Visit, parser: Parser) -> None:
    visit.upload(HOPPER)
    visit.page.get_by_role("button", name="Hide all").click()
    visit.upload(ASTRONAUT)
    expected = parser.predict(ASTRONAUT)
    assert visit.page.locator("#parts .name").all_inner_texts() == names(expected)
    assert visit.page.locator("#parts :checked").count() == len(names(expected))
    assert np.array_equal(visit.pixels()[..., 3] > 0, expected.labels > 0)


def test_opacity_follows_the_slider(visit: Visit, hopper: Parsing) -> None:
    visit.upload(HOPPER)
    slider = visit.page.get_by_role("slider", name="Opacity")
    for value in ("0", "25", "100"):
        slider.fill(value)
        visit.frame()
        assert set(np.unique(visit.pixels()[hopper.labels > 0][:, 3])) == {round(2.55 * int(value) + 1e-6)}
        assert visit.text("#opacity-value") == f"{value}%"


def test_side_by_side_shows_the_photo_alone_too_and_both_can_be_read(visit: Visit, hopper: Parsing) -> None:
    visit.upload(HOPPER)
    visit.page.get_by_role("checkbox", name="Side by side").check()
    left, right = (visit.page.locator(pane).bounding_box() for pane in ("#plain", "#marked"))
    assert left["x"] + left["width"] <= right["x"] and left["y"] == right["y"]
    assert np.array_equal(visit.pixels("#plain-photo"), visit.pixels("#photo"))
    photo = np.asarray(Image.open(HOPPER).convert("RGB")).astype(int)
    assert np.abs(visit.pixels("#photo")[..., :3] - photo).mean() < 1
    visit.point(*middle(hopper.mask("Face")), hopper.size, "#plain")
    assert visit.text("#reading").startswith("Face: ")
    visit.page.get_by_role("checkbox", name="Side by side").uncheck()
    assert visit.page.locator("#plain").is_hidden()


def test_another_label_set_is_shown_as_the_library_remaps(visit: Visit, hopper: Parsing) -> None:
    visit.upload(HOPPER)
    field = visit.page.get_by_label("Label set")
    offered = field.locator("option").all_inner_texts()
    assert offered[0] == "atr" and "coarse" in offered
    field.select_option("coarse")
    visit.settle()
    coarse = hopper.remap("coarse")
    assert visit.page.locator("#parts .name").all_inner_texts() == names(coarse)
    visit.point(*middle(coarse.labels == coarse.labels[300, 260]), hopper.size)
    assert visit.text("#reading").startswith(coarse.scheme.name(int(coarse.labels[300, 260])))


def test_a_model_that_cannot_answer_says_so_and_the_last_picture_stays(visit: Visit) -> None:
    visit.upload(ASTRONAUT)
    visit.page.get_by_label("Model").select_option("schp-lip")
    visit.settle()
    assert "astronaut.png could not be parsed. schp-lip could not be loaded" in visit.text("#error-text")
    assert visit.page.get_by_label("Label set").input_value() == "lip"
    assert visit.text("#status").startswith("lite-atr found")
    visit.refused(503)
    visit.page.get_by_label("Model").select_option("lite-atr")
    visit.settle()
    assert visit.page.get_by_role("alert").is_hidden()


def test_downloads_hold_what_the_library_predicts(visit: Visit, hopper: Parsing) -> None:
    visit.upload(HOPPER)
    with visit.page.expect_download() as png:
        visit.page.get_by_role("button", name="Label PNG").click()
    assert png.value.suggested_filename == "grace_hopper-labels.png"
    picture = Image.open(png.value.path())
    assert picture.mode == "P" and np.array_equal(np.asarray(picture), hopper.labels)
    with visit.page.expect_download() as saved:
        visit.page.get_by_role("button", name="JSON").click()
    assert saved.value.suggested_filename == "grace_hopper-parts.json"
    record = json.loads(saved.value.path().read_text())
    assert (record["model"], record["scheme"], record["size"]) == ("lite-atr", "atr", list(hopper.size))
    assert {part["name"]: part["pixels"] for part in record["parts"]} == {
        part.name: part.pixels for part in hopper.parts()
    }


def test_a_file_that_is_no_photo_is_refused_in_words(visit: Visit) -> None:
    visit.upload(NOTES)
    alert = visit.page.get_by_role("alert")
    assert alert.inner_text() == "notes.txt could not be parsed. Not a picture that can be read."
    visit.refused(415)
    visit.upload(HOPPER)
    assert alert.is_hidden() and visit.page.locator("#parts li").count() > 3


def test_a_service_that_is_gone_is_said_and_can_be_tried_again(visit: Visit) -> None:
    visit.page.context.set_offline(True)
    visit.upload(HOPPER)
    assert "The service does not answer. Check that it runs" in visit.text("#error-text")
    assert visit.page.locator("#panes").is_visible() and visit.page.locator("#results").is_hidden()
    visit.troubles.clear()
    visit.page.context.set_offline(False)
    visit.page.get_by_role("button", name="Try again").click()
    visit.settle()
    assert visit.page.get_by_role("alert").is_hidden() and visit.page.locator("#parts li").count() > 3


def test_models_that_could_not_be_listed_are_listed_once_the_service_answers(visit: Visit) -> None:
    visit.page.route("**/v1/models", lambda route: route.abort(), times=1)
    visit.page.reload()
    visit.page.get_by_role("alert").wait_for()
    assert "The service does not answer" in visit.text("#error-text")
    visit.troubles.clear()
    visit.upload(HOPPER)
    visit.know_models()
    assert visit.page.get_by_role("alert").is_hidden()
    assert visit.page.get_by_label("Model").input_value() == "lite-atr"


def test_a_busy_service_is_asked_again_when_it_says(visit: Visit) -> None:
    busy = json.dumps({"error": {"code": "busy", "message": "the queue is full; come back"}})
    visit.page.route(
        "**/v1/parse?*",
        lambda route: route.fulfill(status=429, headers={"Retry-After": "1"}, body=busy),
        times=1,
    )
    visit.page.set_input_files("#file", HOPPER)
    playwright.expect(visit.page.get_by_role("status")).to_have_text(
        "The queue is full; come back. Trying again in 1 s."
    )
    visit.settle()
    assert visit.page.locator("#parts li").count() > 3
    visit.refused(429)


def test_an_answer_for_an_older_photo_is_ignored(visit: Visit, parser: Parser) -> None:
    held: list[Any] = []
    visit.page.route("**/v1/parse?*", lambda route: held.append(route), times=1)
    visit.page.set_input_files("#file", HOPPER)
    visit.page.locator("#photo[height='600']").wait_for()
    until(lambda: visit.frame() or bool(held))
    visit.upload(ASTRONAUT)
    with suppress(playwright.Error):  # the page has taken its question back
        held[0].continue_()
    visit.page.wait_for_timeout(500)
    assert visit.page.locator("#parts .name").all_inner_texts() == names(parser.predict(ASTRONAUT))
    assert visit.pixels().shape[:2] == (512, 512)


@pytest.mark.parametrize("suffix", ["jpg", "webp", "png"])
def test_a_turned_photo_and_its_parts_agree(
    visit: Visit, parser: Parser, tmp_path: Path, suffix: str
) -> None:
    small = Image.open(HOPPER).resize((128, 150))
    for number in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = number
        path = tmp_path / f"turned{number}.{suffix}"
        small.save(path, exif=exif, quality=95)
        visit.upload(path)
        upright, drawn = image.load(path).astype(int), visit.pixels("#photo")[..., :3]
        assert drawn.shape == upright.shape
        assert np.abs(drawn - upright).mean() < 4, number
        expected = parser.predict(path)
        assert np.array_equal(visit.pixels()[..., 3] > 0, expected.labels > 0)


def test_a_photo_that_the_browser_cannot_show_still_gets_its_parts(visit: Visit, hopper: Parsing) -> None:
    buffer = io.BytesIO()
    Image.open(HOPPER).save(buffer, "TIFF")
    visit.upload({"name": "hopper.tif", "mimeType": "image/tiff", "buffer": buffer.getvalue()})
    assert "This browser cannot show the photo itself." in visit.text("#status")
    assert np.array_equal(visit.pixels()[..., 3] > 0, hopper.labels > 0)


def test_a_large_photo_is_drawn_smaller_and_read_alike(visit: Visit, parser: Parser, tmp_path: Path) -> None:
    path = tmp_path / "large.jpg"
    Image.open(HOPPER).resize((1536, 1800)).save(path)
    visit.upload(path)
    large = parser.predict(path)
    assert visit.pixels().shape[:2] == (1600, 1365)
    for name in ("Face", "Upper-clothes"):
        visit.point(*middle(large.mask(name)), large.size)
        assert visit.text("#reading").startswith(f"{name}: ")


def test_people_are_listed_and_outlined(visit: Visit, parser: Parser, tmp_path: Path) -> None:
    both = Image.new("RGB", (1024, 600))
    both.paste(Image.open(HOPPER), (512, 0))
    both.paste(Image.open(ASTRONAUT), (0, 44))
    both.save(tmp_path / "swapped.png")
    visit.page.get_by_role("checkbox", name="Tell people apart").check()
    visit.upload(tmp_path / "swapped.png")
    visit.page.locator("#people").get_by_role("button").nth(1).hover()  # whose outline must not stay
    visit.frame()
    both.paste(Image.open(HOPPER), (0, 0))
    both.paste(0, (512, 0, 1024, 600))
    both.paste(Image.open(ASTRONAUT), (512, 44))
    both.save(tmp_path / "both.png")
    visit.upload(tmp_path / "both.png")
    expected = parser.predict(tmp_path / "both.png", people="detect")
    assert len(expected.people) == 2
    rows = visit.page.locator("#people").get_by_role("button")
    assert rows.all_inner_texts() == [
        f"Person {person.id}\n{len(person.parts())} parts, score {person.score:.2f}"
        for person in expected.people
    ]
    first, second = expected.people
    rows.nth(1).hover()
    visit.frame()
    white = (visit.pixels() == 255).all(axis=2)
    padded = np.pad(second.mask, 2)
    core = second.mask & padded[:-4, 2:-2] & padded[4:, 2:-2] & padded[2:-2, :-4] & padded[2:-2, 4:]
    assert np.array_equal(white, second.mask & ~core)
    assert visit.text("#reading").startswith("Person 2: ")

    rows.nth(0).click()
    visit.page.mouse.move(1, 1)
    visit.frame()
    white = (visit.pixels() == 255).all(axis=2)
    assert rows.nth(0).get_attribute("aria-pressed") == "true" and white[first.mask].sum() > 200
    visit.point(*middle(first.mask & (expected.labels == FACE)), expected.size)
    assert visit.text("#reading").endswith("of the photo, person 1")


def test_the_page_can_be_used_by_keyboard_alone(visit: Visit, hopper: Parsing) -> None:
    keyboard = visit.page.keyboard

    def step() -> str:
        keyboard.press("Tab")
        return str(
            visit.page.evaluate(
                """() => {
                    const here = document.activeElement;
                    const style = getComputedStyle(here);
                    const seen = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
                    const name = here.labels?.[0]?.innerText || here.innerText || here.id;
                    return seen ? name.trim() : `unseen ${name}`;
                }"""
            )
        )

    choosers: list[Any] = []
    visit.page.on("filechooser", lambda chooser: choosers.append(chooser))
    visit.page.reload()  # by then the browser has been told that choosers are watched
    visit.know_models()
    assert step() == "Choose a photo"
    keyboard.press("Enter")
    until(lambda: visit.frame() or bool(choosers))
    choosers[0].set_files(HOPPER)
    visit.settle()
    assert [step() for _ in range(4)] == ["Use the camera", "Model", "Label set", "Tell people apart"]
    assert [step() for _ in range(4)] == ["Opacity", "Side by side", "Show all", "Hide all"]
    keyboard.press("Shift+Tab")
    keyboard.press("Shift+Tab")
    keyboard.press("Space")
    assert visit.page.locator("#plain").is_visible()
    step(), step()
    groups = [name for name, _ in ATR.groups if hopper.mask(name).any()]
    assert [step() for _ in groups] == groups
    for name in names(hopper):
        assert step().startswith(name)
        assert visit.text("#reading").startswith(f"{name}: ")
        if name == "Face":
            visit.frame()
            x, y = middle(hopper.mask("Face"))
            assert visit.pixels()[y, x, 3] > 153
            keyboard.press("Space")
            visit.frame()
            assert (visit.pixels()[hopper.mask("Face")] == 0).all()
    assert [step(), step()] == ["Label PNG", "JSON"]
    with visit.page.expect_download():
        keyboard.press("Enter")
    assert step() == "Use it from a program"
    link = visit.page.evaluate("document.activeElement.href")
    assert "/v1/parse" in visit.page.request.get(link).text()


def test_nothing_is_wider_than_a_phone(browser: Any, service: str, hopper: Parsing) -> None:
    phone = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}
    with visiting(browser, service, **phone, reduced_motion="reduce") as visit:

        def check() -> None:
            wide = visit.page.evaluate(
                """[...document.querySelectorAll("html, body, body *")].filter((node) =>
                    node.checkVisibility() && (node.scrollWidth > node.clientWidth + 1 && node.clientWidth
                    || node.getBoundingClientRect().right > innerWidth)).map((node) => node.outerHTML)"""
            )
            assert wide == [] and visit.page.evaluate("innerWidth") == 360

        check()
        visit.upload({**NOTES, "name": f"{'notes' * 30}.txt"})
        check()
        visit.refused(415)
        visit.upload(HOPPER)
        check()
        x, y = middle(hopper.mask("Face"))
        box = visit.page.locator("#marked").bounding_box()
        visit.page.touchscreen.tap(box["x"] + x * box["width"] / 512, box["y"] + y * box["height"] / 600)
        assert visit.text("#tag").startswith("Face ")
        visit.page.get_by_role("checkbox", name="Side by side").check()
        check()
        style = visit.page.evaluate("getComputedStyle(document.querySelector('#working')).animationName")
        assert style == "none"


CONTRASTS = """() => {
    const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
    const light = (colour) => {
        const [r, g, b] = colour.map((v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const ground = (node) => {
        for (; node; node = node.parentElement) {
            const colour = rgb(getComputedStyle(node).backgroundColor);
            if (colour.length === 3 || colour[3] === 1) return colour.slice(0, 3);
        }
        return [255, 255, 255];
    };
    const said = (node) => [...node.childNodes].some((one) => one.nodeType === 3 && one.data.trim());
    return [...document.querySelectorAll("body *")]
        .filter((node) => (said(node) || node.matches("select")) && node.checkVisibility())
        .map((node) => {
            const text = light(rgb(getComputedStyle(node).color).slice(0, 3)), back = light(ground(node));
            const ratio = (Math.max(text, back) + 0.05) / (Math.min(text, back) + 0.05);
            return [node.value || node.textContent.trim(), ratio];
        });
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(browser: Any, service: str, scheme: str) -> None:
    with visiting(browser, service, color_scheme=scheme) as visit:
        visit.upload(HOPPER)
        visit.page.get_by_role("checkbox", name="Face").focus()
        found = visit.page.evaluate(CONTRASTS)
        visit.upload(NOTES)
        found += visit.page.evaluate(CONTRASTS)
        visit.refused(415)
    assert {"Face", "Choose a photo", "lite-atr"} <= {text for text, _ in found}
    assert [(text, ratio) for text, ratio in found if ratio < 4.5] == []  # WCAG 2.2, 1.4.3


HAND_OVER = """([way, name, bytes, scheme]) => {
    const dataTransfer = new DataTransfer();
    dataTransfer.items.add(new File([Uint8Array.from(bytes)], name, { type: "image/jpeg" }));
    const options = { bubbles: true, cancelable: true, dataTransfer, clipboardData: dataTransfer };
    const Kind = { drop: DragEvent, paste: ClipboardEvent }[way];
    document.body.dispatchEvent(new Kind(way, options));
    if (!scheme) return;
    document.querySelector("#scheme").value = scheme;
    document.querySelector("#scheme").dispatchEvent(new Event("change"));
}"""


@pytest.mark.parametrize("way", ["drop", "paste"])
def test_a_photo_may_be_dropped_or_pasted(visit: Visit, hopper: Parsing, way: str) -> None:
    visit.page.evaluate(HAND_OVER, [way, HOPPER.name, list(HOPPER.read_bytes()), ""])
    visit.settle()
    assert visit.page.locator("#parts .name").all_inner_texts() == names(hopper)


def test_a_choice_made_while_a_photo_is_on_its_way_leaves_nothing_of_the_last_one(visit: Visit) -> None:
    visit.upload(ASTRONAUT)
    visit.page.route("**/v1/parse?*", lambda route: route.abort())
    visit.page.evaluate(HAND_OVER, ["drop", HOPPER.name, list(HOPPER.read_bytes()), "coarse"])
    visit.settle()
    assert "grace_hopper.jpg could not be parsed" in visit.text("#error-text")
    assert visit.page.locator("#results").is_hidden()
    assert visit.pixels("#photo").shape[:2] == (600, 512) and not visit.pixels().any()
    visit.troubles.clear()


OPENING = """() => {
  const open = HTMLDialogElement.prototype.showModal;
  HTMLDialogElement.prototype.showModal = function () {
    open.call(this);
    window.focusedFirst = document.activeElement.id;
  };
}"""


def test_the_camera_takes_a_photo(visit: Visit) -> None:
    visit.page.context.grant_permissions(["camera"])
    visit.page.evaluate(OPENING)
    visit.page.get_by_role("button", name="Use the camera").click()
    shoot = visit.page.get_by_role("button", name="Take the photo")
    playwright.expect(shoot).to_be_focused()  # the camera runs
    assert visit.page.evaluate("window.focusedFirst") == "camera-close"  # nothing to take yet
    visit.page.keyboard.press("Enter")
    visit.settle()
    assert visit.text("#status").startswith("lite-atr found")
    assert len(np.unique(visit.pixels("#photo")[..., 1])) > 20  # Chromium's test picture, not black
    with visit.page.expect_download() as saved:
        visit.page.get_by_role("button", name="JSON").click()
    assert saved.value.suggested_filename == "camera-parts.json"


def test_a_refused_camera_is_said_in_words(visit: Visit) -> None:
    visit.page.get_by_role("button", name="Use the camera").click()
    visit.page.get_by_role("alert").wait_for()
    assert visit.text("#error-text").startswith("The camera may not be used. Allow it for this page")
    assert visit.page.locator("#camera-dialog").is_hidden()


def test_a_service_with_a_key_is_given_it_once_it_is_typed(browser: Any, parser: Parser) -> None:
    settings = ServeSettings(api_key="open sesame")
    with (
        serving(settings, {"lite-atr": parser}) as served,
        visiting(browser, f"http://127.0.0.1:{served.port}/") as visit,
    ):
        dialog = visit.page.get_by_role("dialog", name="API key")
        dialog.get_by_label("Key").fill("guess")
        dialog.get_by_role("button", name="Use the key").click()
        playwright.expect(dialog).to_contain_text("does not take this key")
        dialog.get_by_label("Key").fill("open sesame")
        visit.page.keyboard.press("Enter")
        visit.know_models()
        visit.upload(HOPPER)
        assert visit.page.locator("#parts li").count() > 3
        visit.refused(401)
        assert visit.page.evaluate("[localStorage.length, sessionStorage.length, document.cookie]") == [
            0,
            0,
            "",
        ]
        visit.page.reload()
        dialog.get_by_role("button", name="Cancel").click()
        assert "This service needs an API key" in visit.page.get_by_role("alert").inner_text()
        visit.refused(401)


def test_run_lengths_are_read(visit: Visit, hopper: Parsing) -> None:
    random = np.random.default_rng(3)
    masks = [random.random((31, 17)) < 0.4, np.zeros((4, 3), bool), np.ones((4, 3), bool)]
    masks.append(hopper.mask("Hair")[:200:2, :])
    for mask in masks:
        flat = np.concatenate(([0], mask.ravel(order="F"), [0]))
        edges = np.flatnonzero(np.diff(flat))
        plain = np.diff(np.concatenate(([0], edges, [mask.size]))).tolist()
        read = visit.page.evaluate(
            """async ({ size, counts }) => {
                const { paint } = await import("/page/rle.js");
                const map = new Uint8Array(size[0] * size[1]);
                paint({ size, counts }, map, 7);
                return [...map];
            }""",
            {"size": list(mask.shape), "counts": plain},
        )
        assert np.array_equal(np.reshape(read, mask.shape), 7 * mask)
