"""The figure of the same images in several data sets."""

import runpy
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from sos_mm.synthesis.contact_sheet import comparison_sheet

TOOL = str(Path(__file__).parents[2] / "tools/compare_datasets.py")


def run(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", [TOOL, *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(TOOL, run_name="__main__")
    return ended.value.code


def test_columns_and_rows():
    colors = {"naive": (255, 0, 0), "relit": (0, 0, 255)}
    columns = {name: [np.full((20, 30, 3), color, np.uint8)] * 2 for name, color in colors.items()}
    sheet = comparison_sheet(columns, side=60)
    for place, color in enumerate(colors.values()):
        rows, found = np.nonzero((sheet == color).all(axis=2))
        # Two images of 40 rows and 60 columns, all of them left or right.
        assert len(rows) == 2 * 40 * 60
        assert found.min() == 8 + 68 * place
        assert len(set(rows.tolist())) == 80


def test_tool_draws_shared_images(tmp_path, monkeypatch, capsys):
    for folder, names in (("a", "012"), ("b", "123")):
        (tmp_path / folder / "images").mkdir(parents=True)
        for name in names:
            cv2.imwrite(
                str(tmp_path / folder / "images" / f"{name}.png"), np.full((16, 16, 3), 40 * int(name), np.uint8)
            )
    assert not run(monkeypatch, tmp_path / "a", tmp_path / "b", "--out", tmp_path / "figure.png", "--side", "16")
    figure = cv2.imread(str(tmp_path / "figure.png"))
    assert {40, 80} <= set(np.unique(figure).tolist())
    assert capsys.readouterr().out.strip() == str(tmp_path / "figure.png")
    (tmp_path / "b/images/1.png").unlink()
    (tmp_path / "b/images/2.png").unlink()
    assert run(monkeypatch, tmp_path / "a", tmp_path / "b", "--out", tmp_path / "figure.png") == 2
    assert "images of the same names" in capsys.readouterr().err
