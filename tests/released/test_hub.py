"""Downloads from a hub that fails, cuts lines, sends damaged files, or does not know the data set."""

import errno
import time
from types import SimpleNamespace

import pytest

from sos_mm.released.hub import HubError, HubRepository
from tests.released.server import Hub, Repository, cuts, damages, fails, hangs_up, resets

pytest.importorskip("huggingface_hub")
NAME = "someone/their-set"
LARGE = bytes(range(256)) * 400
FILES = {"data/a.parquet": LARGE, "notes.json": b'{"a": 1}'}


@pytest.fixture
def hub():
    with Hub({NAME: Repository(FILES, {"license": "cc-by-4.0"})}) as hub:
        yield hub


@pytest.fixture
def opened(hub, fresh_hub, tmp_path, monkeypatch):
    """Opens the data set, with a cache of its own and short waits; lines that are told are collected."""
    # The library tries some requests again itself, after seconds.
    for module in ("utils._http", "file_download"):
        quick = SimpleNamespace(**{**vars(time), "sleep": lambda _: None})
        monkeypatch.setattr(f"huggingface_hub.{module}.time", quick)
    # And it writes blocks of 10 MB, of which a cut line loses the last one.
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 4096)
    told = []

    def open_it(name=NAME, **options):
        chosen = dict(endpoint=hub.url, cache=tmp_path / "cache", retries=3, first_pause=0.001, tell=told.append)
        return HubRepository(name, **{**chosen, **options})

    open_it.told = told
    return open_it


def test_files_are_listed_downloaded_and_cached(hub, opened):
    repository = opened()
    assert (repository.commit, repository.licence) == (hub.repositories[NAME].commit, "cc-by-4.0")
    assert {path: file.size for path, file in repository.files.items()} == {path: len(FILES[path]) for path in FILES}
    for path, file in repository.files.items():
        assert repository.missing_bytes(file) == file.size
        assert repository.download(file).read_bytes() == FILES[path]
        assert repository.missing_bytes(file) == 0
    number = len(hub.requests)
    assert opened().download(repository.files["data/a.parquet"]).read_bytes() == LARGE
    assert len(hub.requests) == number + 1  # The listing alone.


@pytest.mark.parametrize(("card", "expected"), [(None, None), ({}, None), ({"license": ["mit", "odbl"]}, "mit, odbl")])
def test_licence_of_the_card(hub, opened, card, expected):
    hub.repositories[NAME].card = card
    assert opened().licence == expected


@pytest.mark.parametrize(
    ("cut", "brings_bytes"),
    [
        (cuts(0.5), True),
        (resets, True),
        (cuts(0.0), False),
        (hangs_up, False),
        (fails(429), False),
        (fails(500), False),
        (fails(503), False),
        (fails(504), False),
    ],
)
def test_what_fails_is_tried_again_where_it_stopped(hub, opened, cut, brings_bytes):
    hub.script("GET", "^/cdn/", [cut, cut])
    repository = opened()
    assert repository.download(repository.files["data/a.parquet"]).read_bytes() == LARGE
    begins = [int(range.removeprefix("bytes=").rstrip("-")) if range else 0 for _, range in hub.downloads("a.parquet")]
    assert len(begins) == 3
    assert begins == sorted(begins)
    assert (begins[2] > begins[1] > 0) == brings_bytes


def test_failing_listings_and_heads_are_tried_again(hub, opened):
    hub.script("GET", "^/api/", [fails(503), hangs_up])
    hub.script("HEAD", "resolve", [fails(502), hangs_up])
    repository = opened()
    assert repository.download(repository.files["notes.json"]).read_bytes() == FILES["notes.json"]
    assert len(opened.told) == 2
    assert "the hub answers 503; retry 1 of 3" in opened.told[0]


def test_progress_counts_retries_anew(hub, opened):
    """Six cuts with three retries: each brings further bytes."""
    hub.script("GET", "^/cdn/", [cuts(0.3)] * 6)
    repository = opened()
    assert repository.download(repository.files["data/a.parquet"]).read_bytes() == LARGE


def test_a_wait_that_the_hub_asks_for_is_kept(hub, opened):
    hub.script("GET", "^/api/", [fails(429, Retry_After="1")])
    before = time.monotonic()
    opened()
    assert time.monotonic() - before >= 1


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_hub_that_stays_down_is_named(hub, opened, status):
    hub.script("GET", "^/api/", [fails(status)] * 9)
    with pytest.raises(HubError, match=rf"listing of {NAME} cannot be downloaded from {hub.url} .*answers {status}"):
        opened()
    assert len(hub.requests) == 4
    repository = opened(retries=9)
    hub.script("HEAD", "resolve", [fails(status)] * 99)
    with pytest.raises(HubError, match=r"data/a\.parquet .* also after 2 retries"):
        opened(retries=2).download(repository.files["data/a.parquet"])


def test_no_hub_at_the_address(opened):
    with pytest.raises(
        HubError, match=r"from http://127\.0\.0\.1:9 \(the connection failed: .*goes on where it stopped"
    ):
        opened(endpoint="http://127.0.0.1:9")


def test_unknown_names_are_not_tried_again(hub, opened):
    with pytest.raises(HubError, match=r"does not know the listing of someone/gone \(404\).*No token is set"):
        opened("someone/gone")
    with pytest.raises(HubError, match=r"does not know .* check the name and the revision"):
        opened(revision="v9")
    assert len(hub.requests) == 2


def test_wrong_tokens_are_told_and_never_shown(hub, opened):
    hub.token = "right"
    with pytest.raises(HubError, match=r"refuses the listing of someone/their-set \(401\)\. No token is set.*HF_TOKEN"):
        opened()
    with pytest.raises(HubError, match=r"The token that is set .* is not valid") as raised:
        opened(token="hf_wrong")
    assert "hf_wrong" not in str(raised.value)
    assert opened(token="right").download(opened(token="right").files["notes.json"])


def test_tokens_come_from_the_environment(hub, opened, monkeypatch):
    hub.token = "right"
    monkeypatch.setenv("HF_TOKEN", "right")
    repository = opened()
    assert repository.download(repository.files["data/a.parquet"]).read_bytes() == LARGE


def test_damaged_files_are_downloaded_again_once(hub, opened):
    hub.script("GET", "^/cdn/", [damages])
    repository = opened()
    assert repository.download(repository.files["data/a.parquet"]).read_bytes() == LARGE
    assert opened.told == ["data/a.parquet arrived damaged: it is downloaded again"]
    hub.script("GET", "notes.json", [lambda handler, _: handler.reply(200, b'{"a": 2}')] * 2)
    with pytest.raises(HubError, match=r"notes\.json .* must have the SHA-1 as a git blob .*, twice"):
        repository.download(repository.files["notes.json"])
    # Nothing damaged stays.
    assert repository.download(repository.files["notes.json"]).read_bytes() == FILES["notes.json"]


def test_a_damaged_part_of_an_earlier_run_is_found(hub, opened):
    """A half-downloaded file whose bytes are wrong, one that is too long, and a whole one that was changed."""
    repository = opened()
    file = repository.files["data/a.parquet"]
    partial = repository._partial(file)
    for content in (b"x" * 5000, b"x" * (len(LARGE) + 1), b"x" * len(LARGE)):
        repository.forget(file)
        partial.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(content)
        assert repository.download(file).read_bytes() == LARGE
    path = repository.download(file).resolve()
    path.write_bytes(b"x" * len(LARGE))
    assert repository.download(file).read_bytes() == LARGE
    path.write_bytes(b"x")
    assert repository.cached(file) is None
    assert repository.download(file).read_bytes() == LARGE


def test_a_full_disk_is_named(hub, opened, monkeypatch):
    repository = opened()

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(repository._hub, "hf_hub_download", full)
    with pytest.raises(OSError, match=r"disk of .*cache became full while data/a\.parquet.* HF_HUB_CACHE"):
        repository.download(repository.files["data/a.parquet"])


@pytest.mark.parametrize(
    ("entry", "match"),
    [
        ({"rfilename": "../x.parquet"}, r"below the data set, but names '\.\./x\.parquet'"),
        ({"rfilename": "/x.parquet"}, "below the data set"),
        ({"rfilename": "x.json", "size": None}, "must tell size and checksum of x.json"),
        ({"rfilename": "x.json", "size": -1}, "must tell size and checksum of x.json"),
        ({"rfilename": "x.json", "blobId": None}, "must tell size and checksum of x.json"),
        ({"rfilename": "x.json", "blobId": "../../x"}, "must tell size and checksum of x.json"),
    ],
)
def test_faulty_listings_are_refused(hub, opened, monkeypatch, entry, match):
    listed = {"size": 3, "blobId": "0" * 40, **entry}
    monkeypatch.setattr(hub.repositories[NAME], "siblings", lambda: [listed])
    with pytest.raises(HubError, match=match):
        opened()


def test_missing_library_names_the_extra(opened, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ImportError, match=r"pip install 'sos_mm\[hub\]'"):
        opened()
