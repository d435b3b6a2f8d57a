"""The report of what is installed."""

import sys

from sos_mm.cli import env


def test_without_torch_the_lineage_is_told_once(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "mmengine.utils.dl_utils", None)
    env.main([])
    told = capsys.readouterr().out
    assert told.count("OpenMMLab lineage: ") == 1
    assert f"Python: {sys.version}\nGPU and compilers: not looked at (" in told
    assert "  segments, composition, synthesis: ready\n" in told
