"""Compiled code that processes store and share."""

import subprocess
import sys
import threading

from sos_mm import compiled
from sos_mm.locks import short_turn
from tests.helpers.numba import needs_numba

pytestmark = needs_numba


def test_loops_are_stored_in_turn():
    """All that are stored at all, so that another version of numba cannot leave this out without a word."""
    module = compiled.loops("sos_mm.composition.loops")
    caches = [getattr(each, "_cache", None) for each in vars(module).values()]
    stored = [each._cache_file for each in caches if hasattr(each, "_cache_file")]
    assert len(stored) > 10
    assert all(each.save.__qualname__.startswith("store_in_turn") for each in stored)


def test_each_process_finds_its_own_code(tmp_path, monkeypatch):
    """One stores code when another has read the index and not yet written it."""
    from numba.core.caching import IndexDataCacheFile

    stores = [IndexDataCacheFile(str(tmp_path), "loops.mark-1.py311", 1) for _ in range(2)]
    arrived, read_index = threading.Event(), stores[0]._load_index
    second = threading.Thread(target=lambda: stores[1].save("float64", "code for float64"))

    def read_and_be_overtaken():
        found = read_index()
        second.start()
        assert arrived.wait(60)
        return found

    def turn(path):
        if threading.current_thread() is second:
            arrived.set()
        return short_turn(path)

    monkeypatch.setattr(compiled, "short_turn", turn)
    monkeypatch.setattr(stores[0], "_load_index", read_and_be_overtaken)
    for each in stores:
        compiled.store_in_turn(each)
        compiled.store_in_turn(each)
    stores[0].save("int32", "code for int32")
    second.join(60)
    fresh = IndexDataCacheFile(str(tmp_path), "loops.mark-1.py311", 1)
    assert [fresh.load(key) for key in ("int32", "float64")] == ["code for int32", "code for float64"]


def test_no_folder_for_compiled_loops_names_the_remedy():
    code = (
        "from numba.core.caching import CacheImpl\n"
        "CacheImpl._locator_classes = []  # As if no folder could be written.\n"
        "from sos_mm.compiled import loops\n"
        "loops('sos_mm.formats.run_loops')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("RuntimeError: numba cannot store compiled loops (cannot cache")
    assert "NUMBA_CACHE_DIR" in done.stderr
    assert "NUMBA_DISABLE_JIT=1" in done.stderr
