"""Errors that humanparse raises on purpose. Each message says what happened, to what, and what to do next."""

from __future__ import annotations

from .messages import presentable


class HumanParseError(Exception):
    """Base class of all errors that are raised on purpose; catch this to catch them all.

    Secrets in addresses are removed from its message, and long values are shortened.

    Examples:
        >>> from humanparse import HumanParseError, Parser
        >>> try:
        ...     Parser("no-such-model")
        ... except HumanParseError as error:
        ...     print(type(error).__name__)
        ModelError
    """

    def __init__(self, *args: object) -> None:
        super().__init__(*(presentable(arg) if isinstance(arg, str) else arg for arg in args))


class ImageError(HumanParseError, ValueError):
    """An input could not be read as a picture; the message names the input."""


class ImageKindError(ImageError):
    """An input is not a picture, or its kind is not supported; the message names the kind."""


class ImageSizeError(ImageError):
    """A picture has more pixels than are allowed."""


class SchemeError(HumanParseError, ValueError):
    """A label, a label scheme or a remap is unknown or has no exact counterpart."""


class ModelError(HumanParseError, ValueError):
    """A model name or an option is unknown, or options cannot be combined."""


class WeightsError(HumanParseError, RuntimeError):
    """Weights could not be found, verified or loaded; after a failed download it says where to put them."""


class UnreachableError(WeightsError):
    """No source of a file could be reached, or the network is off. No wrong file was received."""


class DeviceError(HumanParseError, RuntimeError):
    """The requested device, precision or runtime is not available; nothing falls back silently."""


class PeopleError(HumanParseError, ValueError):
    """People passed to a prediction do not fit the picture, or have an unknown form."""


class FormatError(HumanParseError, ValueError):
    """A result file could not be written or read: unknown suffix, wrong content, or a name clash."""


class DatasetError(HumanParseError, ValueError):
    """A folder or file of a data set is missing, or does not fit the data set's layout."""


class ScoreError(HumanParseError, ValueError):
    """Predictions and ground truth cannot be compared: sizes, labels or names do not fit."""


class BulkError(HumanParseError, RuntimeError):
    """A run over many inputs cannot start or continue; finished results are kept."""


class StorageError(BulkError):
    """Remote storage, such as S3, cannot be listed, read or written."""


class GoneError(StorageError):
    """There is no such object or bucket."""


class ServeError(HumanParseError, RuntimeError):
    """The service cannot start, because of a setting, the address or a package."""
