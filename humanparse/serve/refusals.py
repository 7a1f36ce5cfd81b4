"""`Refusal`: an answer that is no parsing, with its status, its code and what to do about it."""

from __future__ import annotations

import json
from collections.abc import Mapping

from ..errors import HumanParseError

REFUSALS: Mapping[str, tuple[int, str]] = {
    "malformed_request": (400, "the body is not what its type says"),
    "malformed_image": (400, "the picture is empty, damaged or truncated"),
    "unauthorized": (401, "the API key is missing or wrong"),
    "address_refused": (403, "addresses are not fetched, or not this one"),
    "not_found": (404, "no such page"),
    "unknown_model": (404, "this model is not served"),
    "method_not_allowed": (405, "the page does not take this method"),
    "not_acceptable": (406, "none of the accepted types can be given"),
    "slow_upload": (408, "the upload took too long"),
    "too_many_bytes": (413, "the body or the picture has too many bytes"),
    "too_many_pixels": (413, "the picture has too many pixels"),
    "unsupported_media_type": (415, "the body, or what it holds, is no picture that is read"),
    "invalid_parameter": (422, "a parameter is unknown, or has an unknown value"),
    "address_failed": (422, "the address gave no picture"),
    "busy": (429, "the queue is full; see Retry-After"),
    "internal_error": (500, "a defect; it is in the service's log"),
    "not_ready": (503, "the model is being loaded, or the service is ending; see Retry-After"),
    "timeout": (504, "the answer took too long"),
}
"""Code -> (HTTP status, what it means)."""


class Refusal(HumanParseError):
    """Why a request gets no parsing.

    Args:
        code: one of `REFUSALS`.
        message: what to do.
        retry_after: seconds after which to come back, for the header of this name.
    """

    def __init__(self, code: str, message: str, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.status = REFUSALS[code][0]
        self.headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
        if code == "unauthorized":
            self.headers["WWW-Authenticate"] = "Bearer"

    @property
    def body(self) -> bytes:
        """The answer's JSON."""
        return json.dumps({"error": {"code": self.code, "message": str(self)}}).encode()
