"""Data sets made on a Ray cluster of several nodes that share no folder, also if a node is killed meanwhile."""

import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from sos_mm.synthesis import Recipe, ray_executor, synthesize
from sos_mm.synthesis.packed_shard import PackedShard
from tests.synthesis.test_synthesis import folder_hash

pytestmark = pytest.mark.slow
ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'sos_mm[ray]'")
RECIPE = {
    "canvas": (256, 320),
    "backgrounds": {"type": "gradient"},
    "layout": {"type": "StructuredLayout", "counts": (1, 4), "crowded": "fewer"},
    "formats": ["coco", "panoptic", "webdataset"],
}
NUM, SHARD = 80, 10


class Nodes:
    """A head without processors, which the driver joins, and nodes of one processor each.

    The nodes begin in folders of their own, with temporary folders of their own, and without the package.
    """

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch):
        from ray.cluster_utils import Cluster

        self.folder, self._patch = folder, patch
        self.cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
        self.nodes = [self.add() for _ in range(2)]
        patch.setenv("RAY_ADDRESS", self.cluster.address)

    def add(self):
        """Starts a node."""
        own = self.folder / f"node{len(self.cluster.worker_nodes)}-{time.monotonic_ns()}"
        own.mkdir()
        with self._patch.context() as patch:
            patch.chdir(own)
            node = self.cluster.add_node(num_cpus=1, env_vars={"TMPDIR": str(own), "PYTHONPATH": ""})
        node.own = own
        return node

    def kill(self, node) -> None:
        """Kills the node's processes at once."""
        self.cluster.remove_node(node, allow_graceful=False)

    def close(self) -> None:
        """Ends all of them."""
        ray.shutdown()
        self.cluster.shutdown()


@pytest.fixture
def nodes(tmp_path, monkeypatch):
    (tmp_path / "nodes").mkdir()
    with monkeypatch.context() as patch:
        nodes = Nodes(tmp_path / "nodes", patch)
        yield nodes
        nodes.close()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Hash of the data set as this machine makes it alone."""
    folder = tmp_path_factory.mktemp("alone") / "out"
    make(folder, executor="processes", workers=1)
    return folder_hash(folder)


def make(out, recipe=None, **more):
    options = {"shard_size": SHARD, "progress": False, "executor": "ray", "workers": 2, **more}
    return synthesize(Recipe.from_dict(RECIPE if recipe is None else recipe), out, NUM, **options)


@pytest.fixture
def log(tmp_path, monkeypatch):
    """Folder in which tasks note ``EVENT.NODE.SHARD``; a task on the node that a file ``stopped`` names never ends."""
    import tempfile

    folder = tmp_path / "log"
    folder.mkdir()
    original = ray_executor._make_shard

    def telling(run, number, indices):
        node = Path(tempfile.gettempdir()).name
        (folder / f"start.{node}.{number}").touch()
        if (folder / "stopped").exists() and (folder / "stopped").read_text() == node:
            time.sleep(600)
        shard = original(run, number, indices)
        (folder / f"end.{node}.{number}").touch()
        return shard

    monkeypatch.setattr(ray_executor, "_make_shard", telling)
    return folder


def noted(log: Path, event: str) -> list[tuple[str, str]]:
    """Nodes and shards of an event."""
    parts = (path.name.split(".") for path in log.glob(f"{event}.*"))
    return [(node, shard) for _, node, shard in parts]


def wait_for(condition, seconds=120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_bytes_of_one_machine(nodes, log, whole, tmp_path):
    """Nodes have neither the package nor the driver's folder; both make shards, and nothing is left there."""
    assert make(tmp_path / "out").made == NUM
    assert folder_hash(tmp_path / "out") == whole
    assert {node for node, _ in noted(log, "end")} == {node.own.name for node in nodes.nodes}
    assert len(noted(log, "start")) == NUM / SHARD
    assert not [path for node in nodes.nodes for path in node.own.rglob("*") if path.name.startswith("sos_mm-")]


def test_a_node_dies_that_makes_a_shard(nodes, log, whole, tmp_path):
    victim = nodes.nodes[0]
    (log / "stopped").write_text(victim.own.name)
    deaths = []

    def kill():
        wait_for(lambda: victim.own.name in {node for node, _ in noted(log, "start")})
        nodes.kill(victim)
        deaths.append(victim)

    killer = threading.Thread(target=kill)
    killer.start()
    assert make(tmp_path / "out").made == NUM
    killer.join()
    assert folder_hash(tmp_path / "out") == whole
    started = Counter(shard for _, shard in noted(log, "start"))
    assert (len(deaths), sorted(started.values())) == (1, [1] * (NUM // SHARD - 1) + [2])


def test_a_node_dies_that_holds_a_finished_shard(nodes, log, whole, tmp_path, monkeypatch):
    original, lost = PackedShard.write, []

    def write(self, out):
        assert self.content.nbytes > 200_000  # Ray keeps smaller results in the driver's memory.
        if not lost:
            maker = next(node for node, shard in noted(log, "end") if int(shard) == self.number)
            victim = next(node for node in nodes.nodes if node.own.name != maker)
            wait_for(lambda: victim.own.name in {node for node, _ in noted(log, "end")})
            time.sleep(2)  # Until its result is in the object store.
            lost.extend(shard for node, shard in noted(log, "end") if node == victim.own.name)
            nodes.kill(victim)
        return original(self, out)

    monkeypatch.setattr(PackedShard, "write", write)
    assert make(tmp_path / "out").made == NUM
    assert folder_hash(tmp_path / "out") == whole
    ended = Counter(shard for _, shard in noted(log, "end"))
    assert lost
    assert all(ended[shard] == 2 for shard in lost)


def test_a_node_that_joins_late_takes_part(nodes, log, whole, tmp_path, monkeypatch):
    nodes.kill(nodes.nodes.pop())
    original, added = PackedShard.write, []

    def write(self, out):
        if not added:
            added.append(nodes.add())
        return original(self, out)

    monkeypatch.setattr(PackedShard, "write", write)
    assert make(tmp_path / "out").made == NUM
    assert folder_hash(tmp_path / "out") == whole
    assert added[0].own.name in {node for node, _ in noted(log, "end")}
