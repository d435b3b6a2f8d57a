"""Data sets made on a Ray cluster of several nodes that share no folder, also if a node is killed meanwhile."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from sos_mm.synthesis import Recipe, ray_executor, synthesize
from sos_mm.synthesis.packed_shard import PackedShard
from tests.helpers.processes import free_port
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
    """Folder in which tasks note ``EVENT.NODE.SHARD``.

    A task waits while its node's name is in a file ``stopped``, and, if there is a file ``together``, until two nodes
    have started one.
    """
    import tempfile

    folder = tmp_path / "log"
    folder.mkdir()
    original = ray_executor._make_shard

    # Sent to the nodes, which have no module of tests.
    def may_go_on(node):
        stopped, together = folder / "stopped", folder / "together"
        if stopped.exists() and stopped.read_text() == node:
            return False
        return not together.exists() or len({path.name.split(".")[1] for path in folder.glob("start.*")}) > 1

    def telling(run, number, indices):
        node = Path(tempfile.gettempdir()).name
        (folder / f"start.{node}.{number}").touch()
        while not may_go_on(node):
            time.sleep(0.05)
        shard = original(run, number, indices)
        (folder / f"end.{node}.{number}").touch()
        return shard

    monkeypatch.setattr(ray_executor, "_make_shard", telling)
    return folder


def noted(log: Path, event: str) -> list[tuple[str, str]]:
    """Nodes and shards of an event."""
    parts = (path.name.split(".") for path in log.glob(f"{event}.*"))
    return [(node, shard) for _, node, shard in parts]


def wait_for(condition, seconds=300) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_bytes_of_one_machine(nodes, log, whole, tmp_path):
    """Nodes have neither the package nor the driver's folder; both make shards, and nothing is left there."""
    (log / "together").touch()
    assert make(tmp_path / "out").made == NUM
    assert folder_hash(tmp_path / "out") == whole
    assert {node for node, _ in noted(log, "end")} == {node.own.name for node in nodes.nodes}
    assert len(noted(log, "start")) == NUM / SHARD
    assert not [path for node in nodes.nodes for path in node.own.rglob("*") if path.name.startswith("sos_mm-")]


def test_a_node_dies_that_makes_a_shard(nodes, log, whole, tmp_path):
    victim = nodes.nodes[0]
    (log / "stopped").write_text(victim.own.name)
    (log / "together").touch()
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
    (log / "together").touch()
    original, wait, lost, waiting = PackedShard.write, ray.wait, [], []

    def watched(tasks, **options):
        waiting[:] = tasks
        return wait(tasks, **options)

    def write(self, out):
        assert self.content.nbytes > 200_000  # Ray keeps smaller results in the driver's memory.
        if not lost:
            maker = next(node for node, shard in noted(log, "end") if int(shard) == self.number)
            victim = next(node for node in nodes.nodes if node.own.name != maker)
            # Until the other result is in the object store: the first two shards are made on different nodes.
            number = len(waiting)
            wait_for(lambda: len(wait(waiting, num_returns=number, timeout=0, fetch_local=False)[0]) == number)
            lost.extend(shard for node, shard in noted(log, "end") if node == victim.own.name)
            nodes.kill(victim)
        return original(self, out)

    monkeypatch.setattr(ray, "wait", watched)
    monkeypatch.setattr(PackedShard, "write", write)
    assert make(tmp_path / "out").made == NUM
    assert folder_hash(tmp_path / "out") == whole
    ended = Counter(shard for _, shard in noted(log, "end"))
    assert lost
    assert all(ended[shard] == 2 for shard in lost)


def test_a_node_that_joins_late_takes_part(nodes, log, whole, tmp_path, monkeypatch):
    """The first node waits until the new one has made a shard."""
    nodes.kill(nodes.nodes.pop())
    original, added = PackedShard.write, []

    def write(self, out):
        if not added:
            (log / "stopped").write_text(nodes.nodes[0].own.name)
            added.append(nodes.add())
            threading.Thread(target=release, daemon=True).start()
        return original(self, out)

    def release():
        wait_for(lambda: added[0].own.name in {node for node, _ in noted(log, "end")})
        (log / "stopped").write_text("")

    monkeypatch.setattr(PackedShard, "write", write)
    assert make(tmp_path / "out").made == NUM
    assert folder_hash(tmp_path / "out") == whole
    assert added[0].own.name in {node for node, _ in noted(log, "end")}


def test_a_cluster_that_asks_for_a_token(tmp_path, monkeypatch, whole):
    """As the head does that finds ``~/.ray/auth_token``, which Ray writes when it is first used on a machine alone."""
    secret = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "a" * 64}
    port = free_port()
    start = ["start", "--head", "--block", "--num-cpus", "1", "--include-dashboard", "false", "--port", str(port)]
    # What Ray says may be more than a pipe holds.
    head = subprocess.Popen(
        [sys.executable, "-m", "ray.scripts.scripts", *start],
        env={**os.environ, **secret},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(lambda: answers(port))
        monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{port}")
        monkeypatch.setattr(ray_executor, "_JOIN_S", 300)
        with pytest.raises(ConnectionError, match=r"asks for a token.*export RAY_AUTH_MODE=token"):
            make(tmp_path / "out")
        code = "import sys; from tests.synthesis.test_ray_cluster import Path, make; make(Path(sys.argv[1]))"
        subprocess.run([sys.executable, "-c", code, tmp_path / "out"], env={**os.environ, **secret}, check=True)
        assert folder_hash(tmp_path / "out") == whole
    finally:
        head.terminate()
        head.wait()


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
