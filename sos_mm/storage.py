"""Object storage: objects of an S3 bucket by their keys below an address, by s3fs.

An object is written completely or not at all, and cannot be renamed. Credentials and the address of the service are
those of AWS's variables, files and instances: ``AWS_ACCESS_KEY_ID``, ``AWS_PROFILE``, ``AWS_ENDPOINT_URL`` and others.
"""

import hashlib
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from sos_mm.checks import require

SCHEME = "s3://"
_S3_ADDRESS = re.compile(r"s3://[^/]+(/[^/]+)+/?")
_ANY_ADDRESS = re.compile(r"s3://[^/].*|(?!s3:)[a-z][a-z0-9+.-]*://.*[^/].*")
# What is meant as an address: also with capitals, or with a slash too few.
_MEANT = re.compile(r"[a-z][a-z0-9+.-]*://.*|s3:/.*", re.IGNORECASE)
# Bytes that are read at once.
_BLOCK = 2**23


def is_address(path: Any) -> bool:
    """Tells whether a path is meant as an address of object storage, such as ``s3://bucket/prefix``, of any kind."""
    return isinstance(path, str) and _MEANT.fullmatch(path) is not None


def check_address(address: str) -> None:
    """Raises ValueError unless what is meant as an address, of any kind of object storage, has the form of one."""
    if not _ANY_ADDRESS.fullmatch(address):
        raise _wrong_form(address)


def _wrong_form(address: str) -> ValueError:
    return ValueError(f"An address of object storage must be as s3://bucket/prefix, but got {address!r}.")


class ObjectStore:
    """The objects below an address ``s3://BUCKET/PREFIX``; keys are relative to it.

    Args:
        address: The address.

    Raises:
        ImportError: If s3fs is not installed.
        ValueError: If it is not of that form.
    """

    def __init__(self, address: str):
        if not _S3_ADDRESS.fullmatch(address):
            raise _wrong_form(address)
        s3fs = require("s3fs", f"Object storage ({address})", "pip install 'sos_mm[s3]'")
        self.address = address.rstrip("/")
        self._root = self.address.removeprefix(SCHEME)
        # Others change the bucket too, so that no listing is kept.
        self._files = s3fs.S3FileSystem(use_listings_cache=False)

    def sizes(self, below: str = "") -> dict[str, int]:
        """Returns the sizes in bytes of all objects by key, or of those whose key begins with a folder."""
        with self._explained():
            found = self._files.find(self._path(below).rstrip("/"), detail=True)
        start = len(self._root) + 1
        return {name[start:]: facts["size"] for name, facts in found.items()}

    def exists(self, key: str) -> bool:
        """Tells whether there is an object."""
        with self._explained():
            return self._files.exists(self._path(key))

    def read(self, key: str) -> bytes:
        """Returns the content of an object; raises FileNotFoundError if there is none."""
        with self._explained():
            return self._files.cat_file(self._path(key))

    def create(self, key: str, content: bytes) -> bool:
        """Writes an object unless it exists (``If-None-Match: *``); returns whether it did, of all who try one."""
        try:
            with self._explained():
                self._files.pipe_file(self._path(key), content, mode="create")
        except FileExistsError:
            return False
        return True

    def upload(self, files: Mapping[str, Path]) -> None:
        """Writes objects from files, by key; existing objects are replaced."""
        if files:
            with self._explained():
                self._files.put([str(path) for path in files.values()], list(map(self._path, files)))

    def download(self, files: Mapping[str, Path]) -> None:
        """Writes files from objects, by key; raises FileNotFoundError if one is missing."""
        for path in files.values():
            path.parent.mkdir(parents=True, exist_ok=True)
        if files:
            with self._explained():
                self._files.get(list(map(self._path, files)), [str(path) for path in files.values()])

    def copy(self, keys: Mapping[str, str]) -> None:
        """Copies objects to other keys, in the store; raises FileNotFoundError if one is missing."""
        if keys:
            with self._explained():
                self._files.copy(list(map(self._path, keys)), list(map(self._path, keys.values())))

    def remove(self, keys: Collection[str]) -> None:
        """Removes objects that exist."""
        if keys:
            with self._explained():
                self._files.rm(list(map(self._path, keys)))

    def sha256_of(self, key: str) -> str:
        """Returns the SHA-256 of an object's content, as 64 hexadecimal digits."""
        digest = hashlib.sha256()
        with self._explained(), self._files.open(self._path(key), "rb", block_size=_BLOCK) as file:
            while block := file.read(_BLOCK):
                digest.update(block)
        return digest.hexdigest()

    def _path(self, key: str) -> str:
        return f"{self._root}/{key}"

    def _explained(self) -> AbstractContextManager[None]:
        return explained(self.address)


@contextmanager
def explained(address: str) -> Iterator[None]:
    """Adds the address and the remedy to errors of the service."""
    try:
        yield
    except FileExistsError:
        raise
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{address} has no such object or folder: {error}") from error
    except PermissionError as error:
        raise PermissionError(f"{address} refuses: {error}") from error
    except Exception as error:
        # Those of AWS's client have no common base in Python's own, and one is a plain ValueError.
        if not (type(error).__module__.startswith("botocore.") or "Invalid endpoint" in str(error)):
            raise
        raise ConnectionError(
            f"{address} cannot be reached ({error}): set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or "
            "AWS_PROFILE, and AWS_ENDPOINT_URL for another service than Amazon's."
        ) from error
