"""Errors that humanparse raises on purpose. Each message says what happened, to what, and what to do next."""

from __future__ import annotations

from .messages import presentable


class HumanParseError(Exception):
    """Base of all errors raised on purpose; catch this to catch them all.

    Its message holds no secrets of addresses and little of long values, whatever it was made of.
    """

    def __init__(self, *args: object) -> None:
        super().__init__(*(presentable(arg) if isinstance(arg, str) else arg for arg in args))


class ImageError(HumanParseError, ValueError):
    """An input could not be read as a picture; the message names the input."""


class ImageKindError(ImageError):
    """An input is not a picture, or is of a kind that is not read; the message names the kind."""


class ImageSizeError(ImageError):
    """A picture has more pixels than are allowed."""


class SchemeError(HumanParseError, ValueError):
    """A label, a label scheme or a remap is unknown or has no exact counterpart."""


class ModelError(HumanParseError, ValueError):
    """A model name or a combination of options is unknown or impossible."""


class WeightsError(HumanParseError, RuntimeError):
    """Weights could not be found, verified or loaded; the message says where to put the file by hand."""


class UnreachableError(WeightsError):
    """No source of a file could be reached, or the network is off; nothing says that the file is wrong."""


class DeviceError(HumanParseError, RuntimeError):
    """The asked-for device, precision or runtime is not available here; nothing falls back silently."""


class PeopleError(HumanParseError, ValueError):
    """People that were given to a prediction do not fit the picture, or cannot be understood."""


class FormatError(HumanParseError, ValueError):
    """A result file could not be written or read: unknown suffix, wrong content, or a name clash."""


class DatasetError(HumanParseError, ValueError):
    """A data set's folder or file is missing, or is not what its layout says."""


class ScoreError(HumanParseError, ValueError):
    """Predictions and ground truth cannot be compared: sizes, labels or names do not fit."""


class BulkError(HumanParseError, RuntimeError):
    """A run over many inputs cannot begin or go on; what is done is kept."""


class StorageError(BulkError):
    """Remote storage, such as S3, cannot be listed, read or written."""


class GoneError(StorageError):
    """There is no such object or bucket."""


class ServeError(HumanParseError, RuntimeError):
    """The service cannot begin: a setting, the address or a package is at fault."""
