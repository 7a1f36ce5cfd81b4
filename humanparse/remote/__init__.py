"""Objects in remote storage, such as S3 and Google Cloud Storage, through fsspec.

    for found in remote.listed("s3://bucket/photos"):
        content = remote.read(f"s3://bucket/photos/{found.name}", found.size, found.mark)

Credentials and the server come from the environment and the configuration files of fsspec's packages, such
as `AWS_ENDPOINT_URL`. Temporary failures (throttling, 5xx, timeouts, broken connections) are retried a few
times before they raise `StorageError`.
"""

from .access import file_system as file_system
from .access import is_remote as is_remote
from .access import join as join
from .listing import Found as Found
from .listing import info as info
from .listing import listed as listed
from .objects import RemoteFile as RemoteFile
from .objects import abort_uploads as abort_uploads
from .objects import read as read
from .objects import remove as remove
from .objects import write as write
