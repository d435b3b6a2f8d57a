"""Data sets on the Hugging Face hub: their listing, and downloads that are resumed, tried again and verified."""

import errno
import hashlib
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from sos_mm.backoff import pause, retry_after
from sos_mm.checks import require

Result = TypeVar("Result")
# Answers after which the same request may succeed: too many requests, and faults of the server.
_TRANSIENT = (408, 425, 429, 500, 502, 503, 504)
_LONGEST_WAIT = 300.0
_BLOCK = 2**20
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


class HubError(OSError):
    """A hub that cannot be reached, does not know a data set, or sends damaged files; says what to do."""


@dataclass(frozen=True)
class RemoteFile:
    """A file of a data set as the hub lists it.

    Attributes:
        path: Its path in the repository.
        size: Bytes.
        blob: Name of its content: the SHA-256 of a large file (LFS), else the SHA-1 of the file as a git blob.
        is_large: Whether it is a large file.
    """

    path: str
    size: int
    blob: str
    is_large: bool


def import_hub() -> ModuleType:
    """Imports the hub's client library.

    Raises:
        ImportError: If it is missing; names the extra.
    """
    return require("huggingface_hub", "Downloading a data set", "pip install 'sos_mm[hub]'")


class HubRepository:
    """A data set on the hub at one commit.

    Endpoint, cache and token are those of huggingface_hub, which reads them from ``HF_ENDPOINT``, ``HF_HOME``,
    ``HF_HUB_CACHE`` and ``HF_TOKEN``, unless they are given.

    Args:
        repository: Its name, ``owner/name``.
        revision: Branch, tag or commit; the main branch if None.
        endpoint, cache, token: Replace those of the environment.
        retries: How often a request that fails is sent again while no further byte arrives.
        first_pause: Seconds before the first retry; doubled each time.
        tell: Called with a line about each failure that is tried again.

    Attributes:
        commit: The commit, 40 hexadecimal digits.
        licence: The licence that the data set's card names; None if it names none.
        files: Its files by path.

    Raises:
        HubError: If the hub cannot be reached or does not know it.
        ImportError: If huggingface_hub is missing.
    """

    def __init__(
        self,
        repository: str,
        revision: str | None = None,
        *,
        endpoint: str | None = None,
        cache: str | Path | None = None,
        token: str | None = None,
        retries: int = 8,
        first_pause: float = 1.0,
        tell: Callable[[str], None] | None = None,
    ):
        self._hub = import_hub()
        self.repository, self._token = repository, token
        self._api = self._hub.HfApi(endpoint=endpoint, token=token)
        self.cache = Path(cache or self._hub.constants.HF_HUB_CACHE)
        self._retries, self._first_pause, self._tell = retries, first_pause, tell or _to_stderr
        if not sys.stderr.isatty():
            self._hub.utils.disable_progress_bars()
        info = self._persistently(
            "the listing",
            lambda: self._api.dataset_info(repository, revision=revision, files_metadata=True),
        )
        self.commit: str = info.sha
        self.licence = _licence(info.card_data)
        self.files = {each.path: each for each in map(_remote_file, info.siblings)}

    @property
    def endpoint(self) -> str:
        """Address of the hub."""
        return self._api.endpoint

    def cached(self, file: RemoteFile) -> Path | None:
        """Returns the path of a file that is complete in the cache, or None."""
        path = self._hub.try_to_load_from_cache(
            self.repository, file.path, cache_dir=self.cache, revision=self.commit, repo_type="dataset"
        )
        found = Path(path) if isinstance(path, str) else None
        return found if found is not None and found.stat().st_size == file.size else None

    def missing_bytes(self, file: RemoteFile) -> int:
        """Returns how many bytes of a file are not in the cache."""
        if self.cached(file) is not None:
            return 0
        return max(file.size - _size(self._partial(file)), 0)

    def download(self, file: RemoteFile) -> Path:
        """Downloads a file to the cache, or what is missing of it, and verifies its content.

        Returns:
            Its path in the cache.

        Raises:
            HubError: If the hub cannot be reached, or sends other content than it lists twice.
            OSError: If the disk is full.
        """
        path = self._get(file)
        if path.stat().st_size != file.size or digest(path, file) != file.blob:
            self._tell(f"{file.path} arrived damaged: it is downloaded again")
            path = self._get(file, from_scratch=True)
            found = digest(path, file)
            if found != file.blob:
                self.forget(file)
                kind = "SHA-256" if file.is_large else "SHA-1 as a git blob"
                raise HubError(
                    f"{file.path} of {self.repository} must have the {kind} {file.blob}, which {self.endpoint} lists, "
                    f"but has {found}, twice: a proxy or the hub sends damaged data; try again later."
                )
        return path

    def forget(self, file: RemoteFile) -> None:
        """Removes a file from the cache."""
        link = self.cached(file) or self._folder / "snapshots" / self.commit / file.path
        for path in (self._folder / "blobs" / file.blob, self._partial(file), link):
            path.unlink(missing_ok=True)

    @property
    def _folder(self) -> Path:
        return self.cache / f"datasets--{self.repository.replace('/', '--')}"

    def _partial(self, file: RemoteFile) -> Path:
        """Returns the path at which huggingface_hub collects a file that is not complete."""
        return self._folder / "blobs" / f"{file.blob}.incomplete"

    def _get(self, file: RemoteFile, from_scratch: bool = False) -> Path:
        if from_scratch:
            self.forget(file)
        get = self._hub.hf_hub_download

        def request() -> str:
            if _size(self._partial(file)) > file.size:
                self._partial(file).unlink()
            return get(
                self.repository,
                file.path,
                repo_type="dataset",
                revision=self.commit,
                cache_dir=self.cache,
                endpoint=self.endpoint,
                token=self._token,
            )

        return Path(self._persistently(file.path, request, lambda: _size(self._partial(file))))

    def _persistently(
        self, what: str, request: Callable[[], Result], progress: Callable[[], int] = lambda: 0
    ) -> Result:
        """Sends a request until it succeeds.

        Args:
            what: What is requested, for messages.
            request: Sends it.
            progress: Returns the number of bytes that arrived; retries are counted anew when it grows.
        """
        retry, arrived = 0, progress()
        while True:
            try:
                return request()
            except Exception as error:
                refusal = self._refusal(what, error)
                if refusal is error:
                    raise
                if refusal is not None:
                    raise refusal from error
                reason = _reason(error)
                retry, arrived = (0, progress()) if progress() > arrived else (retry, arrived)
                if retry >= self._retries:
                    raise HubError(
                        f"{what} of {self.repository} cannot be downloaded from {self.endpoint} ({reason}), also after "
                        f"{self._retries} retries. Run the same command later: it goes on where it stopped."
                    ) from error
                seconds = max(pause(self._first_pause, retry, what), min(_asked_wait(error), _LONGEST_WAIT))
                retry += 1
                self._tell(f"{what}: {reason}; retry {retry} of {self._retries} in {seconds:.1f} s")
                time.sleep(seconds)

    def _refusal(self, what: str, error: Exception) -> Exception | None:
        """Returns the error to raise if a request is not to be sent again, or None."""
        status, name = _status(error), f"{what} of {self.repository}"
        if any(getattr(each, "errno", None) in _DISK_FULL for each in _causes(error)):
            return OSError(
                f"The disk of {self.cache} became full while {name} was downloaded: free some space, or set "
                "HF_HUB_CACHE to a folder on another disk. The same command then goes on where it stopped."
            )
        if isinstance(error, PermissionError):
            return HubError(f"The cache {self.cache} cannot be written ({error}): set HF_HUB_CACHE to another folder.")
        if any(type(each).__name__ == "OfflineModeIsEnabled" for each in _causes(error)):
            return HubError(f"{name} must be downloaded, but HF_HUB_OFFLINE is set: unset it.")
        if status in (401, 403):
            return HubError(f"{self.endpoint} refuses {name} ({status}). {self._remedy_of_token()}")
        if status == 404:
            return HubError(
                f"{self.endpoint} does not know {name} (404): check the name and the revision. A private data set "
                f"needs a token: {self._remedy_of_token()}"
            )
        if status == 416:
            return None
        if status is not None and status not in _TRANSIENT:
            return HubError(f"{self.endpoint} answers {status} to a request for {name}: {error}")
        if status is None and not _is_about_connection(error):
            return error
        return None

    def _remedy_of_token(self) -> str:
        if self._token or self._hub.get_token():
            return (
                "The token that is set (HF_TOKEN or `hf auth login`) is not valid, or its owner has no access: replace "
                "it, and accept the conditions on the data set's page if it has any."
            )
        return "No token is set: if the data set is private or has conditions, accept these and set HF_TOKEN."


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _licence(card: Any) -> str | None:
    """Returns the licence that a card's data name, as one text."""
    named = card.get("license") if card is not None else None
    names = named if isinstance(named, list) else [named]
    return ", ".join(str(name) for name in names if name) or None


def _remote_file(sibling: Any) -> RemoteFile:
    """Converts an entry of the hub's listing, whose types are checked: the size plans the disk space."""
    large = sibling.lfs
    size = large.size if large else sibling.size
    blob = large.sha256 if large else sibling.blob_id
    is_safe = isinstance(sibling.rfilename, str) and not sibling.rfilename.startswith("/")
    if not is_safe or ".." in sibling.rfilename.split("/") or "\\" in sibling.rfilename:
        raise HubError(f"The hub's listing must name files below the data set, but names {sibling.rfilename!r}.")
    if not isinstance(size, int) or size < 0 or not isinstance(blob, str) or not blob.isalnum():
        got = f"size {size!r} and content {blob!r}"
        raise HubError(f"The hub's listing must tell size and checksum of {sibling.rfilename}, but has {got}.")
    return RemoteFile(sibling.rfilename, size, blob, large is not None)


def digest(path: Path, file: RemoteFile) -> str:
    """Computes the checksum of a file that corresponds to ``file.blob``: SHA-256, or SHA-1 as a git blob."""
    found = hashlib.sha256() if file.is_large else hashlib.sha1(f"blob {path.stat().st_size}\0".encode())
    with path.open("rb") as content:
        while block := content.read(_BLOCK):
            found.update(block)
    return found.hexdigest()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yields an exception and those that it was raised from."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__ or cause.__context__


def _response(error: BaseException) -> Any:
    for each in _causes(error):
        response = getattr(each, "response", None)
        if response is not None:
            return response
    return None


def _status(error: BaseException) -> int | None:
    """Returns the status of the HTTP answer that an exception is about, or None."""
    return getattr(_response(error), "status_code", None)


def _asked_wait(error: BaseException) -> float:
    """Returns the seconds that the server asks to wait."""
    response = _response(error)
    return retry_after(response.headers.get("Retry-After")) if response is not None else 0.0


def _is_about_connection(error: BaseException) -> bool:
    """Returns whether an exception is one of the libraries for HTTP, or about an answer that was cut."""
    libraries = ("requests", "urllib3", "httpx", "httpcore", "hf_xet", "http")
    modules = {type(each).__module__.partition(".")[0] for each in _causes(error)}
    # huggingface_hub raises a plain OSError if fewer bytes arrive than announced.
    short = isinstance(error, OSError) and "Consistency check failed" in str(error)
    return short or isinstance(error, ConnectionError | TimeoutError) or bool(modules & set(libraries))


def _reason(error: BaseException) -> str:
    """Returns why a request failed, in a few words."""
    status = _status(error)
    if status is not None:
        return f"the hub answers {status}"
    cause = list(_causes(error))[-1]
    return f"the connection failed: {(str(cause) or type(cause).__name__).splitlines()[0]:.120}"
