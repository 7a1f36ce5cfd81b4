"""Tars and Parquet tables as inputs: which members and rows are pictures, and what is left out, and why."""

from __future__ import annotations

import io
import shutil
import sqlite3
import tarfile
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import Run, runner
from http_server import Answer, Server
from PIL import Image

from humanparse import BulkError, ImageError, ParserOptions, Parsing, bulk
from humanparse.bulk import lists, places
from humanparse.bulk.sources import open_source
from humanparse.bulk.tars import TarSource

CHEAP = ParserOptions(device="cpu", test_size=(64, 96))


def encoded(grey: int, kind: str = "png") -> bytes:
    """A picture whose first pixel says which one it is."""
    buffer = io.BytesIO()
    Image.fromarray(np.full((24, 16, 3), grey, np.uint8)).save(buffer, "JPEG" if kind == "jpg" else "PNG")
    return buffer.getvalue()


def tar(path: Path, members: dict[str, bytes | tuple[bytes, str]]) -> Path:
    """A tar of files, and of links, which are their type and what they lead to."""
    path.parent.mkdir(exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            if isinstance(content, tuple):
                member.type, member.linkname = content
                archive.addfile(member)
            else:
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return path


def listed(path: Path, **options: Any) -> tuple[dict[str, int], dict[str, int]]:
    """Name of the outputs -> grey of the picture that is labelled; and what was left out."""
    source = open_source(str(path), path.parent / "out", **options)
    found = {one.key: int(source.read(one).pixels[0, 0, 0]) for one in source.listing()}
    return found, dict(source.left_out())


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(tmp_path, monkeypatch, capsys)


SAMPLES = {
    "a/0.seg.png": encoded(1),
    "a/0.jpg": encoded(2, "jpg"),
    "a/0.json": b"{}",
    "a/1.png": encoded(3),
    "a/1.jpg": encoded(4, "jpg"),
    "a/2.mask.png": encoded(5),
    "a/2.rgb.png": encoded(6),
    "a/3.depth.png": encoded(7),
    "b/3.png": encoded(8),
    "b/3.rgb.png": encoded(9),
}


def test_of_a_sample_with_several_pictures_the_likely_one_is_labelled(tmp_path: Path) -> None:
    found, others = listed(tar(tmp_path / "x.tar", SAMPLES))
    assert found == {"a/0": 2, "a/1": 4, "a/2": 6, "a/3": 7, "b/3": 8}
    assert [(count, "`member`" in reason) for reason, count in others.items()] == [(4, True)]


@pytest.mark.parametrize(
    ("member", "expected", "without"),
    [
        ("seg.png", {"a/0": 1}, 7),
        (".SEG.PNG, rgb.png", {"a/0": 1, "a/2": 6, "b/3": 9}, 3),
        ("png", {"a/1": 3, "b/3": 8}, 5),
    ],
)
def test_the_member_that_is_asked_for_is_labelled(
    tmp_path: Path, member: str, expected: dict[str, int], without: int
) -> None:
    found, others = listed(tar(tmp_path / "x.tar", SAMPLES), member=member)
    assert found == expected
    assert {count for reason, count in others.items() if reason.startswith("of samples without")} == {without}
    assert sum(others.values()) + len(found) == len(SAMPLES) - 1


def test_keep_suffix_takes_every_picture_of_a_tar(run: Run, tmp_path: Path) -> None:
    path = tar(tmp_path / "x.tar", {**SAMPLES, "a/0.SEG.png": encoded(10)})
    found, others = listed(path, keep_suffix=True)
    assert len(found) == 10 and found["a/0.seg.png"] == 1 and found["a/0.jpg"] == 2 and others == {}


def test_names_with_dots_are_names(tmp_path: Path) -> None:
    names = ["IMG.001.jpg", "IMG.002.jpg", "trip.2019.06.01.png", "./far/v1.0/one.jpg", "far/v1.0/two.v2.jpg"]
    path = tar(tmp_path / "x.tar", {name: encoded(10 * number) for number, name in enumerate(names)})
    found, others = listed(path)
    assert sorted(found.values()) == [0, 10, 20, 30, 40] and others == {}
    assert sorted(found) == ["IMG.001", "IMG.002", "far/v1.0/one", "far/v1.0/two", "trip"]


def test_hidden_members_are_left_out_and_counted(run: Run, tmp_path: Path) -> None:
    hidden = {name: b"Mac OS X" for name in ("./._0.jpg", "__MACOSX/._0.jpg", ".DS_Store", ".git/x.png")}
    path = tar(tmp_path / "x.tar", {"./0.jpg": encoded(7), **hidden, "1.heic": b"", "1.json": b"{}"})
    found, others = listed(path)
    assert found == {"0": 7}
    assert others == {"hidden, such as the ._ files of macOS": 3, ".heic": 1}
    done = run("label", path, "-o", "out")
    assert done.status == 0 and "1 of 1 labelled" in done.out
    assert "left out: 1 file that looks like a picture (1 .heic)" in done.err and "; 3 hidden" in done.err


def test_links_are_followed_and_those_to_nothing_fail_with_a_reason(run: Run, tmp_path: Path) -> None:
    hard, symbolic = tarfile.LNKTYPE, tarfile.SYMTYPE
    path = tar(
        tmp_path / "x.tar",
        {
            "later.jpg": (symbolic, "blobs/77"),
            "photos/0.jpg": encoded(10),
            "blobs/77": encoded(20),
            "1.jpg": (hard, "photos/0.jpg"),
            "photos/2.jpg": (symbolic, "../blobs/77"),
            "3.jpg": (symbolic, "./photos/2.jpg"),
            "bad/4.jpg": (symbolic, "../../etc/passwd"),
            "bad/5.jpg": (symbolic, "6.jpg"),
            "bad/6.jpg": (symbolic, "5.jpg"),
            "pipe.jpg": (tarfile.FIFOTYPE, ""),
            "folder.jpg": (tarfile.DIRTYPE, ""),
        },
    )
    done = run("label", path, "-o", "out")
    assert done.status == 1 and "5 of 8 labelled" in done.out
    assert "left out: 1 neither a file nor a link" in done.err
    reasons = dict(bulk.status("out")[1])
    assert sorted(reasons) == [f"0:x.tar/bad/{number}.jpg" for number in (4, 5, 6)]
    assert all("a link to what is not in the tar" in reason for reason in reasons.values())
    good = TarSource((path,))
    greys = {one.key: good.read(one).pixels[0, 0, 0] for one in good.listing() if one.start >= 0}
    assert greys == {"later": 20, "photos/0": 10, "1": 10, "photos/2": 20, "3": 20}


def test_links_inside_a_tar_may_lead_through_linked_folders(tmp_path: Path) -> None:
    link = tarfile.SYMTYPE
    members = {"2024/a.jpg": encoded(10), "deep/best": (link, "../2024"), "b.jpg": (link, "deep/best/a.jpg")}
    assert listed(tar(tmp_path / "x.tar", members)) == ({"2024/a": 10, "b": 10}, {})


def test_of_members_of_one_name_the_last_is_labelled(tmp_path: Path) -> None:
    path = tar(tmp_path / "x.tar", {"a.jpg": encoded(1), "b.jpg": encoded(2)})
    with tarfile.open(path, "a") as archive:
        member = tarfile.TarInfo("a.jpg")
        member.size = len(encoded(3))
        archive.addfile(member, io.BytesIO(encoded(3)))
    assert listed(path) == ({"a": 3, "b": 2}, {"replaced by later ones of the same name": 1})


def test_a_tar_that_is_damaged_in_its_middle_is_refused(tmp_path: Path) -> None:
    path = tar(tmp_path / "x.tar", {f"{number}.png": encoded(number) for number in range(3)})
    content = bytearray(path.read_bytes())
    with tarfile.open(path) as archive:
        at = archive.getmember("1.png").offset
    content[at : at + 512] = b"\xff" * 512
    path.write_bytes(content)
    with pytest.raises(BulkError, match=rf"x\.tar: not a readable tar .*damaged at byte {at}"):
        listed(path)


def test_pictures_beside_tars_that_a_pattern_matches_are_counted(run: Run, tmp_path: Path) -> None:
    tar(tmp_path / "in" / "x.tar", {"a.jpg": encoded(1)})
    (tmp_path / "in" / "b.png").write_bytes(encoded(2))
    done = run("label", "in/*", "-o", "out")
    assert done.status == 0 and "1 of 1 labelled" in done.out
    assert "left out: 1 beside the tars that the pattern matches" in done.err


def test_hidden_pictures_and_linked_folders_of_a_folder_are_counted(run: Run, tmp_path: Path) -> None:
    for name in ("in/a.png", "in/._a.png", "in/.cache/b.png", "away/c.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(encoded(1) if "._" not in name else b"Mac OS X")
    (tmp_path / "in" / "linked").symlink_to(tmp_path / "away")
    done = run("label", "in", "-o", "out")
    assert done.status == 0 and "1 of 1 labelled" in done.out
    assert "1 hidden, such as the ._ files of macOS" in done.err and "1 linked folder(s)" in done.err
    done = run("predict", "in", "-o", "predicted")
    assert done.status == 0 and "in: left out: 1 hidden" in done.err
    assert [path.name for path in (tmp_path / "predicted").iterdir()] == ["a.png"]


def test_a_clash_names_keep_suffix_only_where_it_helps(run: Run, tmp_path: Path) -> None:
    for name in ("in/a.jpg", "in/a.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(encoded(1))
    done = run("label", "in", "-o", "out")
    assert done.status == 1 and "a.jpg and a.png would have the same output, a;" in done.err
    assert "--keep-suffix" in done.err
    assert run("label", "in", "-o", "kept", "--keep-suffix").status == 0
    (tmp_path / "list.txt").write_text("in/a.jpg\nin//a.jpg\n./in/a.jpg\n")
    done = run("label", "list.txt", "-o", "other")
    assert done.status == 1 and "rename one" in done.err and "--keep-suffix" not in done.err


def test_a_tar_is_resumed_with_the_same_member_only(run: Run, tmp_path: Path) -> None:
    tar(tmp_path / "x.tar", SAMPLES)
    done = run("label", "x.tar", "-o", "out", "--member", "seg.png")
    assert done.status == 0 and "which --member asks for" in done.err
    assert run("label", "x.tar", "-o", "out", "--member", "seg.png", "--resume").status == 0
    done = run("label", "x.tar", "-o", "out", "--resume")
    assert done.status == 1 and "member: seg.png before, None now" in done.err


# --- Parquet

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")
STRUCT = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])


def table(path: Path, values: list[Any], kind: Any, rows: int = 3) -> Path:
    column = pyarrow.array(values, kind) if kind is not None else values
    parquet.write_table(pyarrow.table({"label": list(range(len(values))), "image": column}), path, rows)
    return path


def test_the_image_column_of_the_hub_is_labelled(tmp_path: Path) -> None:
    (tmp_path / "beside.png").write_bytes(encoded(40))
    values = [
        {"bytes": encoded(10), "path": "a.png"},
        {"bytes": encoded(20), "path": None},
        {"bytes": encoded(30), "path": "a.png"},
        {"bytes": None, "path": "beside.png"},
        {"bytes": None, "path": None},
        None,
        {"bytes": b"no picture", "path": "b.png"},
        {"bytes": encoded(50), "path": "deep/c.jpg"},
    ]
    path = table(tmp_path / "train.parquet", values, STRUCT)
    summary = bulk.label(path, tmp_path / "out", model=CHEAP)
    assert (summary.counts.done, summary.counts.failed) == (5, 3)
    made = sorted(file.relative_to(tmp_path / "out").as_posix() for file in (tmp_path / "out").rglob("*.png"))
    assert made[0] == "a-" + made[0][2:10] + ".png"  # two rows of one name: the later one gets a hash
    assert made[1:] == ["a.png", "beside.png", "deep/c.png", "train/000001.png"]
    reasons = dict(bulk.status(tmp_path / "out")[1])
    assert sorted(reasons) == [f"train.parquet row {row}" for row in (4, 5, 6)]
    assert "neither a picture nor the path of one" in reasons["train.parquet row 4"]
    source = open_source(str(path), tmp_path / "out")
    rows = {one.start: one for one in source.listing()}
    for row, grey in ((7, 50), (0, 10), (2, 30), (3, 40), (1, 20), (7, 50)):
        assert source.read(rows[row]).pixels[0, 0, 0] == grey
    again = bulk.label(path, tmp_path / "out", model=CHEAP, options=bulk.RunOptions(resume=True))
    assert again.fresh == 0
    assert Parsing.load(tmp_path / "out" / "deep" / "c.png").size == (24, 16)


def test_rows_may_hold_addresses(tmp_path: Path) -> None:
    with Server() as server:
        address = server.answer("/far.png", Answer(encoded(60))).replace("://", "://me:s3cret@")
        path = table(tmp_path / "x.parquet", [{"bytes": None, "path": address}], STRUCT)
        assert list(listed(path)[0].values()) == [60]
        gone = address.replace("far", "gone")
        source = open_source(str(table(path, [{"bytes": None, "path": gone}], STRUCT)), tmp_path / "out")
        (found,) = source.listing()
        with pytest.raises(ImageError, match=r"x\.parquet row 0: http://…@.*404") as raised:
            source.read(found)
    assert "s3cret" not in str(raised.value) + repr(found)


BINARY = [pyarrow.binary(), pyarrow.large_binary(), pyarrow.dictionary(pyarrow.int32(), pyarrow.binary())]
TEXT = [pyarrow.string(), pyarrow.large_string(), pyarrow.dictionary(pyarrow.int8(), pyarrow.string())]
LARGE = pyarrow.struct([("path", pyarrow.large_string()), ("bytes", pyarrow.large_binary())])


@pytest.mark.parametrize("kind", BINARY, ids=str)
def test_columns_of_bytes_are_pictures(tmp_path: Path, kind: Any) -> None:
    values = [encoded(10 * row) for row in range(5)]
    found, _ = listed(table(tmp_path / "x.parquet", values, kind))
    assert found == {f"x/{row:06d}": 10 * row for row in range(5)}


def test_structs_may_be_of_large_types_and_without_a_path(tmp_path: Path) -> None:
    row = {"bytes": encoded(9), "path": "a/b.jpg"}
    assert listed(table(tmp_path / "x.parquet", [row], LARGE))[0] == {"a/b": 9}
    assert listed(tmp_path / "x.parquet", keep_suffix=True)[0] == {"a/b.jpg": 9}
    alone = pyarrow.struct([("bytes", pyarrow.binary())])
    assert listed(table(tmp_path / "x.parquet", [{"bytes": encoded(8)}], alone))[0] == {"x/000000": 8}


@pytest.mark.parametrize("kind", TEXT, ids=str)
def test_columns_of_text_are_paths_and_empty_rows_are_counted(tmp_path: Path, kind: Any) -> None:
    (tmp_path / "a.png").write_bytes(encoded(70))
    path = table(tmp_path / "x.parquet", ["a.png", None, "", "a.png"], kind)
    assert listed(path) == ({"a": 70}, {"row without a value": 2})


@pytest.mark.parametrize(
    ("values", "kind", "words"),
    [
        ([[{"bytes": b"x", "path": "a"}]], pyarrow.list_(STRUCT), "list<"),
        ([["a.png", "b.png"]], pyarrow.list_(pyarrow.string()), "list<"),
        ([1, 2], pyarrow.int64(), "int64"),
        ([{"url": "a"}], pyarrow.struct([("url", pyarrow.string())]), "struct<url: string>"),
    ],
)
def test_other_columns_are_refused_in_words(
    run: Run, tmp_path: Path, values: list[Any], kind: Any, words: str
) -> None:
    table(tmp_path / "x.parquet", values, kind)
    done = run("label", "x.parquet", "-o", "out")
    assert done.status == 1 and f"its column image holds {words}" in done.err and "--column" in done.err
    assert "bytes and path" in done.err and len(done.err) < 700


def test_no_message_holds_the_bytes_of_a_photo(run: Run, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, 300_000, dtype=np.uint8).tobytes()
    for values, kind in (([{"bytes": noise, "path": "x" * 5000}], STRUCT), ([noise], pyarrow.binary())):
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
        done = run("label", table(tmp_path / "x.parquet", values, kind), "-o", "out")
        assert done.status == 1 and len(done.err + done.out) < 2000
        assert all(len(reason) < 600 for _, reason in bulk.status("out")[1])
    (tmp_path / "list.csv").write_text("path\n" + "word " * 20_000 + "\n")
    shutil.rmtree(tmp_path / "out")
    run("label", "list.csv", "-o", "out")
    ((_, reason),) = bulk.status("out")[1]
    assert len(reason) < 600


def test_rows_behind_a_damaged_group_are_read(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    column = pyarrow.array([encoded(10 * row) for row in range(9)], pyarrow.binary())
    parquet.write_table(pyarrow.table({"image": column}), path, 3, compression="none", use_dictionary=False)
    pages = parquet.ParquetFile(path).metadata.row_group(1).column(0)
    content = bytearray(path.read_bytes())
    content[pages.data_page_offset : pages.data_page_offset + 40] = b"\xff" * 40
    path.write_bytes(content)
    source = open_source(str(path), tmp_path / "out")
    greys = []
    for found in source.listing():
        try:
            greys.append(int(source.read(found).pixels[0, 0, 0]))
        except ImageError as error:
            assert str(error).startswith(f"x.parquet row {found.start}: the table cannot be read")
    assert greys == [0, 10, 20, 60, 70, 80]


def test_a_damaged_table_says_so_shortly(tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_bytes(b"PAR1" + bytes(300_000))
    with pytest.raises(BulkError, match="not a readable Parquet file") as raised:
        bulk.label(tmp_path / "x.parquet", tmp_path / "out", model=CHEAP)
    assert len(str(raised.value)) < 600


# --- secrets


def everything(folder: Path) -> bytes:
    """All names and contents below a folder."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return b"\n".join(bytes(path) + b"\n" + path.read_bytes() for path in files)


def test_a_run_keeps_no_secret_of_an_address_and_goes_on_all_the_same(run: Run, tmp_path: Path) -> None:
    secrets = ("s3cret", "0123456789abcdef0", "0123456789abcdef1")
    with Server() as server:
        for number in range(3):
            server.answer(f"/{number}.png", Answer(encoded(number)))
        login = server.url.replace("://", "://me:s3cret@")
        lines = [
            f"  {login}/0.png ",
            f"{server.url}/1.png?token={secrets[1]}",
            f"{server.url}/1.png?token={secrets[2]}",
            f"{login}/gone.png?signature=s3cret",
            f"{server.url}/2.png?w=9",
        ]
        (tmp_path / "list.txt").write_text("\n".join(lines))
        done = run("--debug", "label", "list.txt", "-o", "out", "--format", "png,npz,coco,tar,parquet")
        assert done.status == 1 and "4 of 5 labelled" in done.out
        status, sheet = run("label", "--status", "out"), run("contact-sheet", "out", "-o", "sheet.html")
        assert "without its photo" not in Path("sheet.html").read_text()  # found in the list again
        text = (done.out + done.err + status.out + sheet.out + sheet.err).encode() + everything(
            tmp_path / "out"
        )
        text += Path("sheet.html").read_bytes()
        assert not [secret for secret in secrets if secret.encode() in text] and b"me:" not in text
        assert "http://…@127.0.0.1" in status.out and "signature=…" in status.out
        server.answer("/gone.png", Answer(encoded(99)))
        again = run("label", "list.txt", "-o", "out", "--format", "png,npz,coco,tar,parquet", "--resume")
        assert again.status == 1 and "4 of 5 labelled (0 now" in again.out
        last = run(
            *("label", "list.txt", "-o", "out", "--format", "png,npz,coco,tar,parquet"),
            *("--resume", "--retry-failed"),
        )
        assert last.status == 0 and "5 of 5 labelled (1 now" in last.out


def test_two_addresses_that_differ_in_a_short_secret_are_refused(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("http://h/x.png?token=12\nhttp://h/x.png?token=13\n")
    with pytest.raises(
        BulkError, match=r"differ only in a secret, http://h/x\.png\?token=…; label them in two"
    ):
        bulk.label(tmp_path / "list.txt", tmp_path / "out", model=CHEAP)


def test_a_run_of_an_older_version_goes_on_and_loses_its_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, out = bulk.Settings(formats=("png", "tar"), pack_size=2), tmp_path / "out"
    options: dict[str, Any] = {"model": CHEAP, "settings": settings}
    with Server() as server:
        login = server.answer("/0.png", Answer(encoded(0))).replace("://", "://me:s3cret@")
        token = server.answer("/1.png", Answer(encoded(1))) + "?token=0123456789abcdef0"
        (tmp_path / "a.png").write_bytes(encoded(5))
        (tmp_path / "list.txt").write_text(f"{token}\na.png\n")
        with monkeypatch.context() as older:
            for module in (lists, places):
                older.setattr(module, "distinct", str)
            bulk.label(tmp_path / "list.txt", out, **options)
        journal = out / ".humanparse" / "all" / "journal.sqlite"
        fail_as_an_older_version(journal, login)
        (tmp_path / "list.txt").write_text(f"{login}\n{token}\na.png\n")
        before, secrets = everything(out), (b"s3cret", b"0123456789abcdef0")
        pngs = {path: path.read_bytes() for path in out.rglob("*.png")}
        assert all(secret in before for secret in secrets)
        assert [place for place, _ in bulk.status(out)[1]] == [login.replace("me:s3cret", "…")]
        with pytest.raises(BulkError, match="other settings"):
            bulk.label(tmp_path / "list.txt", out, model=CHEAP, options=bulk.RunOptions(resume=True))
        assert not [secret for secret in secrets if secret in journal_of(journal)]
        again = bulk.label(tmp_path / "list.txt", out, **options, options=bulk.RunOptions(resume=True))
    assert (again.counts.total, again.counts.done, again.fresh) == (3, 3, 1)
    assert not [secret for secret in secrets if secret in everything(out)]
    assert pngs == {path: path.read_bytes() for path in pngs} and len(list(out.rglob("*.png"))) == 3


def fail_as_an_older_version(path: Path, address: str) -> None:
    """List an address with a login, named after its user, as version 0.1 of November did: it never loaded."""
    key = address.partition("://")[2].replace(":", "%3A").removesuffix(".png")
    error = f"{address}: the download failed"
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(
            "INSERT INTO inputs (number, place, key, start, state, error) VALUES (2, ?, ?, 0, 'failed', ?)",
            (address, key, error),
        )
        db.execute("DELETE FROM run WHERE key <> 'settings'")


def journal_of(path: Path) -> bytes:
    """Its file, and what SQLite keeps beside it."""
    return b"".join(one.read_bytes() for one in path.parent.glob(f"{path.name}*"))
