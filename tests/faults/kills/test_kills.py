"""Every writer under attack: killed, interrupted, out of disk, robbed of its folder, started twice, damaged.

All of it takes half an hour on one core (marker `slow`); ``pytest tests/faults/kills -m slow -s`` prints the counts.
"""

import signal
from collections import Counter

import pytest

from tests.faults.kills import attacks
from tests.faults.kills.processes import Steps
from tests.faults.kills.world import World, opened
from tests.faults.kills.writers import WRITERS
from tests.released.server import Hub, Repository
from tests.released.sets import VISUALIZATION, segments_set, visualization_set

pytestmark = pytest.mark.slow
_SEED = 7
_counts: dict[str, dict[str, Counter]] = {}


@pytest.fixture(scope="module")
def hub():
    with Hub({"someone/solid": Repository(segments_set()), VISUALIZATION: Repository(visualization_set())}) as hub:
        yield hub


@pytest.fixture(scope="module", params=WRITERS, ids=lambda writer: writer.name)
def world(request, hub, tmp_path_factory):
    for needed in request.param.needs:
        pytest.importorskip(needed)
    with opened(request.param, tmp_path_factory.mktemp("kills"), hub) as world:
        yield world


@pytest.fixture(scope="module", autouse=True)
def summary():
    yield
    for name, by_attack in _counts.items():
        for attack, counts in by_attack.items():
            print(f"{name:<28}{attack:<20}" + ", ".join(f"{number} {what}" for what, number in counts.items()))


def note(world: World, attack: str, counts: Counter) -> None:
    _counts.setdefault(world.writer.name, {})[attack] = counts
    print(f"\n{world.writer.name}: {attack}: " + ", ".join(f"{number} {what}" for what, number in counts.items()))


def test_killed(world):
    note(world, "kill -9", attacks.kill_often(world, _KILLS, _SEED))


_KILLS = 20
# Shares of the steps of a run, and of its imports, at which a signal comes.
_INTERRUPTIONS = [
    *((number, "files", share, False) for number in (signal.SIGINT, signal.SIGTERM) for share in (0.4, 0.85)),
    *((number, "files", 0.6, True) for number in (signal.SIGINT, signal.SIGTERM)),
    *((number, "imports", share, False) for number in (signal.SIGINT, signal.SIGTERM) for share in (0.1, 0.7)),
]


def test_interrupted(world):
    if world.writer.from_finished:
        pytest.skip("the command is that of another writer")
    counts = Counter()
    world.measure()
    for of in ("files", "imports"):
        world.steps_of_command(of)
    for number, of, share, twice in _INTERRUPTIONS:
        total = world.steps_of_command(of)
        ended = attacks.interrupt(world, number, Steps(1 + int(share * (total - 1)), "stop", of), twice)
        assert ended is not None, (of, share, total)
        # Some imports are those of a run that has begun.
        lines = {world.writer.goes_on, *(["interrupted"] if of == "imports" else [])}
        wrong = attacks.complaint_about_interruption(ended, number, lines, twice)
        assert wrong is None, (number, of, share, twice, wrong)
        false = world.false_claim()
        assert false is None, false
        counts[f"{number.name}{' twice' if twice else ''}{' in imports' if of == 'imports' else ''}"] += 1
        world.finish(real=True)
        wrong = world.complaint()
        assert wrong is None, (number, of, share, twice, wrong)
        counts["resumed, identical"] += 1
    note(world, "signals", counts)


def test_full_disk(world):
    try:
        counts = attacks.fill_disk(world, (0.1, 0.3, 0.6, 0.9))
    except PermissionError as error:
        pytest.skip(f"no right to mount a file system: {error}")
    assert counts["disks that became full"] >= 1
    note(world, "full disk", counts)


def test_folder_removed(world):
    if len(world.writer.calls) > 1:
        pytest.skip("the other process may make all of it anew")
    note(world, "folder removed", attacks.remove_folder(world, (0.1, 0.25, 0.4, 0.55, 0.75)))


def test_two_starters(world):
    if len(world.writer.calls) > 1:
        pytest.skip("its processes are two starters")
    note(world, "two starters", attacks.start_twice(world, 6, (0.05, 0.3, 0.6, 0.95)))


def test_damaged_shards(world):
    if not world.writer.parts:
        pytest.skip("it keeps nothing of an unfinished run")
    if len(world.writer.calls) > 1:
        pytest.skip("its shards are those of a run of one process")
    note(world, "damaged shards", attacks.damage(world))
