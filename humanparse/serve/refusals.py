"""`Refusal`: an error answer with a status, a code and a message that says what to do."""

from __future__ import annotations

import json
from collections.abc import Mapping

from ..errors import HumanParseError

REFUSALS: Mapping[str, tuple[int, str]] = {
    "malformed_request": (400, "the body is not what its type says"),
    "malformed_image": (400, "the picture is empty, damaged or truncated"),
    "unauthorized": (401, "the API key is missing or wrong"),
    "address_refused": (403, "the service does not fetch URLs, or not this one"),
    "not_found": (404, "no such page"),
    "unknown_model": (404, "this model is not served"),
    "method_not_allowed": (405, "the path does not support this method"),
    "not_acceptable": (406, "none of the accepted types is available"),
    "slow_upload": (408, "the upload took too long"),
    "too_many_bytes": (413, "the body or the picture has too many bytes"),
    "too_many_pixels": (413, "the picture has too many pixels"),
    "unsupported_media_type": (415, "the body, or the file in it, is not a supported picture"),
    "invalid_parameter": (422, "a parameter is unknown, or has an unknown value"),
    "address_failed": (422, "no picture could be fetched from the URL"),
    "busy": (429, "the queue is full; see Retry-After"),
    "internal_error": (500, "a bug; the service's log has the traceback"),
    "not_ready": (503, "the model is loading, or the service is shutting down; see Retry-After"),
    "timeout": (504, "the answer took too long"),
}
"""Code -> (HTTP status, meaning)."""


class Refusal(HumanParseError):
    """Why a request gets no parsing.

    Args:
        code: one of `REFUSALS`.
        message: what happened and what to do.
        retry_after: seconds to wait before trying again, for the Retry-After header.
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
