"""What addresses and values look like where they are shown, logged and kept."""

from __future__ import annotations

import pickle
import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from humanparse import BulkError, HumanParseError, ImageError, registry
from humanparse.addresses import distinct, printable, query_hash, redact
from humanparse.messages import presentable, said


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("http://user:secret@host/x.jpg", "http://…@host/x.jpg"),
        ("https://token@host:8080/a/b.jpg?w=9#top", "https://…@host:8080/a/b.jpg?w=9#top"),
        ("rtsp://admin:p@ss@[::1]:554/live", "rtsp://…@[::1]:554/live"),
        ("http://user:pa/ss?w#rd@host/x.jpg", "http://…@host/x.jpg"),
        ("http://us'er:p w@host/x.jpg", "http://…@host/x.jpg"),
        ("https://h/x.jpg?w=9&token=abc&h=3", "https://h/x.jpg?w=9&token=…&h=3"),
        (
            "https://b.s3.amazonaws.com/x.jpg?X-Amz-Credential=AK%2F1&X-Amz-Date=1&X-Amz-Signature=0f",
            "https://b.s3.amazonaws.com/x.jpg?X-Amz-Credential=…&X-Amz-Date=1&X-Amz-Signature=…",
        ),
        ("https://a.blob.core.windows.net/x?sv=1&sig=a%3D", "https://a.blob.core.windows.net/x?sv=1&sig=…"),
        ("https://h/x?api_key=1&location=3", "https://h/x?api_key=…&location=3"),
        ("https://h/x?key=AIzaSyA1234567890abcdefgh", "https://h/x?key=…"),
        ("https://h/x#access_token=abc", "https://h/x#access_token=…"),
    ],
)
def test_an_address_shows_no_secret(address: str, shown: str) -> None:
    assert printable(address) == shown
    assert redact(f"see {address.replace(' ', '')}: no") == f"see {shown}: no" or "'" in address


@pytest.mark.parametrize(
    "text",
    [
        "https://host.org/@me/x@2x.jpg?design=5&signed=no&key=photos/1.jpg&user=ann",
        "a@b.c wrote: pass=fail",
        "C:\\photos\\a.jpg",
        "data:image/png;base64,AAAA",
        "",
    ],
)
def test_all_else_stays_as_it_is(text: str) -> None:
    assert printable(text) == redact(text) == presentable(text) == text


letters = st.text(string.ascii_letters + string.digits + "-._~!$&()*+,;=%@:", min_size=12, max_size=40)


@given(user=letters, password=letters, path=st.text(string.ascii_letters + "/@:?=&", max_size=20))
def test_no_user_name_and_no_password_ever_comes_through(user: str, password: str, path: str) -> None:
    user, password = f"u1{user}", f"p2{password}"
    for text in (
        printable(f"https://{user}:{password}@host/{path}"),
        redact(f"x https://{user}:{password}@h."),
    ):
        assert user not in text and password not in text


def test_addresses_stay_apart_by_what_decides_the_picture_and_by_nothing_else() -> None:
    assert distinct("http://a:b@host/x.jpg") == distinct("http://c:d@host/x.jpg") == "http://…@host/x.jpg"
    tokens = ["0123456789abcdef0", "0123456789abcdef1"]
    one, other = (f"https://h/x?token={token}" for token in tokens)
    assert distinct(one) != distinct(other) and query_hash(one) != query_hash(other)
    assert all(re.fullmatch(r"https://h/x\?token=… #[0-9a-f]{8}", distinct(url)) for url in (one, other))
    # A short secret could be guessed from a hash of it.
    assert distinct("https://h/x?token=12") == "https://h/x?token=…"
    assert query_hash("https://h/x?token=12") == query_hash("https://h/x?token=13")


@pytest.mark.parametrize(
    "value",
    [b"\xff\xd8" * 50_000, "a long text " * 5000, list(range(9000)), [[1.0, 2.0]] * 9000, {"a": "b" * 9000}],
)
def test_no_message_holds_more_than_some_hundred_characters_of_a_value(value: object) -> None:
    for text in (f"photo: a path, not {value!r}; pass one", f"photo: a path, not {value}; pass one"):
        message = str(ImageError(text))
        assert len(message) < 500 and message.startswith("photo: a path, not ")
    assert len(said(ValueError(value))) < 500


def test_messages_of_ours_stay_whole() -> None:
    text = f"no model; known models: {', '.join(registry.names())}\n  it's {'one line ' * 200}of John's"
    assert str(HumanParseError(text)) == text


def test_an_error_stays_redacted_when_it_travels() -> None:
    error = BulkError("at http://me:pw@host/x", 3)
    assert error.args == ("at http://…@host/x", 3) == pickle.loads(pickle.dumps(error)).args


@pytest.mark.parametrize(
    "text",
    [
        f"no picture: {bytes(100_000)!r}",
        "no picture: '" + r"\x00" * 20_000,
        "no picture: '" + r"\x00" * 9_000 + "'x",
        "a" * 40_000 + " http://host/x",
        "http://" + "." * 39_000 + "x y",
        "'\"" * 20_000,
        "[(" * 20_000,
        "http://h/?" + "a=&" * 10_000,
        "a://" * 10_000,
    ],
    ids=["bytes", "cut", "no end", "word", "dots", "quotes", "brackets", "parameters", "schemes"],
)
def test_no_text_keeps_a_message_from_its_end(text: str) -> None:
    """Patterns that try again and again at each character take hours for these."""
    assert len(presentable(text)) < 900
