"""Ends a run with advice when its destination cannot be written to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import BulkError, FormatError


@contextmanager
def writing(dest: Path) -> Iterator[None]:
    """Turn write errors inside the block into a `BulkError` that says what to do.

    Raises:
        BulkError: a file could not be written or synchronised.
    """
    try:
        yield
    except (OSError, FormatError) as error:
        raise BulkError(
            f"outputs cannot be written to {dest} ({error}); check that the disk is neither full nor "
            "read-only, and resume with `resume=True`"
        ) from error


_IN_KERNEL = (
    *("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "lustre", "beegfs", "gpfs", "glusterfs"),
)
_IN_FUSE = ("sshfs", "s3fs", "gcsfuse", "rclone", "glusterfs", "juicefs")
_NETWORK = frozenset((*_IN_KERNEL, *(f"fuse.{name}" for name in _IN_FUSE)))
"""Linux's names of file systems on which SQLite's locks are not reliable."""

MOUNTS = Path("/proc/self/mounts")
"""Linux lists mounted file systems here; on other systems none is recognised."""


def network_file_system(folder: Path) -> str:
    """The kind of network file system that a folder lies on, such as `"nfs4"`; "" on a disk."""
    try:
        lines = MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return ""
    path, best, kind = folder.resolve(), -1, ""
    for line in lines:
        _, where, its_kind, *_ = line.split(" ")
        mount = Path(where.replace(r"\040", " "))
        if len(mount.parts) >= best and (mount == path or mount in path.parents):
            best, kind = len(mount.parts), its_kind
    return kind if kind in _NETWORK else ""
