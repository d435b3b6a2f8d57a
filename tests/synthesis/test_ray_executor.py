"""What a run on a Ray cluster says of its workers and of clusters that are not there."""

import shutil
import socket
import threading
from dataclasses import replace

import pytest

from sos_mm.segments.sample import SAMPLE_FOLDER
from sos_mm.synthesis import Recipe, ray_executor, synthesize
from sos_mm.synthesis.environment import code_hash, library_facts
from sos_mm.synthesis.making import ShardMaker
from tests.synthesis.test_synthesis import folder_hash

ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'sos_mm[ray]'")
RECIPE = Recipe(canvas=(64, 64), backgrounds={"type": "plain"}, formats=["coco"])


@pytest.fixture
def unanswered_port():
    """A port that nobody listens to, nor can take meanwhile."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.mark.parametrize("address", ["127.0.0.1:{port}", "ray://127.0.0.1:{port}"])
def test_no_cluster_at_an_address(tmp_path, monkeypatch, unanswered_port, address):
    address = address.format(port=unanswered_port)
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(ConnectionError, match=rf"cluster '{address}', which does not respond \(.*refused"):
        synthesize(RECIPE, tmp_path / "out", 2, executor="ray", progress=False)
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("address", ["127.0.0.1:port", "127.0.0.1:99999999"])
def test_an_address_that_is_none(tmp_path, monkeypatch, address):
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(ConnectionError, match=f"cluster '{address}', which does not respond"):
        synthesize(RECIPE, tmp_path / "out", 2, executor="ray", progress=False)


def test_something_else_at_an_address(tmp_path, monkeypatch):
    """It takes connections and never answers."""
    joined = threading.Event()
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{server.getsockname()[1]}")
        monkeypatch.setattr(ray_executor, "_JOIN_S", 0.5)
        monkeypatch.setattr(ray_executor, "_initialize", lambda ray, **_: joined.wait())
        with pytest.raises(ConnectionError, match=r"does not respond \(no answer within 0 s\)"):
            synthesize(RECIPE, tmp_path / "out", 2, executor="ray", progress=False)
        joined.set()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({}, None),
        ({"code": "0" * 64}, "the code of sos_mm differs"),
        ({"libraries": {**library_facts(), "numpy": "1.0"}}, r"numpy [\d.]+ instead of 1\.0"),
        ({"libraries": {**library_facts(), "opencv_ipp": "other"}}, "opencv_ipp .* instead of other"),
    ],
)
def test_workers_run_the_same_code(change, told):
    driver = {"code": code_hash(), "libraries": library_facts(), **change}
    if told is None:
        ray_executor.check_same_code(driver, code_hash(), library_facts())
        return
    with pytest.raises(RuntimeError, match=f"would make other images \\({told}\\): install the same versions"):
        ray_executor.check_same_code(driver, code_hash(), library_facts())


def test_workers_have_the_same_segments(tmp_path):
    shutil.copytree(SAMPLE_FOLDER / "segments" / "apple", tmp_path / "segments" / "apple")
    recipe = replace(RECIPE, segments={"type": "folder", "root": str(tmp_path / "segments")})
    run = ray_executor._Run.of(ShardMaker(recipe, 0))
    assert run.open().sources == run.sources
    added = next((tmp_path / "segments" / "apple").rglob("*.webp"))
    shutil.copy(added, added.with_name("another.webp"))
    with pytest.raises(RuntimeError, match=r"are others than here .segments. on .* machine of the Ray cluster"):
        run.open()
    shutil.rmtree(tmp_path / "segments")
    with pytest.raises(RuntimeError, match=r"cannot be opened .*segments.* the same files at the same paths"):
        run.open()


def test_errors_from_a_cluster_are_those_of_the_fault(tmp_path):
    """A fault in a worker arrives as it would without a cluster; the run starts one, and ends it."""
    recipe = replace(RECIPE, layout={"type": "StructuredLayout"}, min_area=64 * 64)
    for executor in ("ray", "processes"):
        with pytest.raises(RuntimeError, match=r"Image \d came out without an object .* lower `min_area`"):
            synthesize(recipe, tmp_path / executor, 4, shard_size=2, workers=2, executor=executor, progress=False)
    assert not ray.is_initialized()


class Wished:
    """Stands for Ray: tasks end in the order of their starts, and are counted."""

    def __init__(self):
        self.started, self.cancelled, self.waiting = [], [], []

    def start(self, number):
        self.started.append(number)
        return number

    def wait(self, tasks, fetch_local):
        self.waiting.append(len(tasks))
        return tasks[:1], tasks[1:]

    def get(self, task):
        return f"shard {task}"

    def is_initialized(self):
        return True

    def cancel(self, task, force):
        self.cancelled.append(task)


def test_no_more_shards_than_workers_are_on_their_way():
    ray = Wished()
    results = ray_executor._results(ray, ray.start, range(7), 3)
    assert next(results) == "shard 0"
    # The first one is being written, and three are made meanwhile.
    assert ray.started == [0, 1, 2, 3]
    assert list(results) == [f"shard {number}" for number in range(1, 7)]
    assert (max(ray.waiting), ray.cancelled) == (3, [])


def test_shards_that_nobody_waits_for_are_cancelled():
    ray = Wished()
    results = ray_executor._results(ray, ray.start, range(7), 3)
    next(results)
    results.close()
    assert ray.cancelled == [1, 2, 3]


@pytest.fixture(scope="module")
def cluster():
    """A cluster of two processes that this one has joined."""
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield
    ray.shutdown()


@pytest.mark.usefixtures("cluster")
def test_other_code_on_a_cluster_is_told(tmp_path, monkeypatch):
    """The driver says that it runs other code than what the workers find."""
    monkeypatch.setattr(ray_executor, "code_hash", lambda: "0" * 64)
    with pytest.raises(RuntimeError, match=r"would make other images .*the code of sos_mm differs"):
        synthesize(RECIPE, tmp_path / "out", 2, executor="ray", progress=False)


@pytest.mark.usefixtures("cluster")
def test_relative_paths_are_those_of_the_driver(tmp_path, monkeypatch):
    """Workers of a cluster that runs already begin in other folders."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAY_CHDIR_TO_TRIAL_DIR", "0")
    report = synthesize(RECIPE, "out", 2, executor="ray", workers=2, shard_size=1, progress=False)
    assert report.made == 2
    synthesize(RECIPE, "one", 2, shard_size=1, progress=False)
    assert folder_hash(tmp_path / "out") == folder_hash(tmp_path / "one")
