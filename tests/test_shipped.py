"""Configs that come with the package: found by name, inherited and copied out from any folder."""

import ast
import re
from pathlib import Path

import pytest

from sos_mm import get_config, shipped
from sos_mm.cli.config import main, standalone_text
from sos_mm.shipped import config_names, shipped_folder
from sos_mm.synthesis import load_recipe

REPOSITORY = Path(__file__).parents[1]
CONFIGS = REPOSITORY / "configs"
COPIED = re.compile(r'__import__\("sos_mm"\)\.get_config\("(.+?)"\)')


def test_names_are_those_of_the_repository():
    assert shipped_folder("configs") == CONFIGS
    assert shipped_folder("tools") == REPOSITORY / "tools"
    assert set(config_names()) == {path.relative_to(CONFIGS).as_posix() for path in CONFIGS.rglob("*.py")}
    bases = [name.startswith("_base_/") for name in config_names()]
    assert bases == sorted(bases)


def test_get_config():
    assert get_config("synthesis/fc_like.py") == str(CONFIGS / "synthesis/fc_like.py")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("fc_like.py", "Did you mean 'synthesis/fc_like.py'?"),
        ("synthesis/fc_like", "Did you mean 'synthesis/fc_like.py'?"),
        ("../setup.py", "but got '../setup.py'"),
        ("", "but got ''"),
        (3, "but got 3"),
    ],
)
def test_get_config_of_another_name(name, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        get_config(name)


def test_configs_in_a_wheel_come_before_those_beside_the_package(tmp_path, monkeypatch):
    monkeypatch.setattr(shipped, "_PACKAGE", tmp_path / "sos_mm")
    with pytest.raises(FileNotFoundError, match="installed without its configs/"):
        get_config("mine.py")
    for folder in (tmp_path, tmp_path / "sos_mm/.mim"):
        (folder / "configs").mkdir(parents=True)
        (folder / "configs/mine.py").touch()
        # Another package's folder `configs` in site-packages has none beside it.
        (folder / "model-index.yml").touch()
    assert get_config("mine.py") == str(tmp_path / "sos_mm/.mim/configs/mine.py")


def test_model_index_lists_every_metafile():
    listed = re.findall(r"configs/\S+", (REPOSITORY / "model-index.yml").read_text())
    assert listed == sorted(path.relative_to(REPOSITORY).as_posix() for path in CONFIGS.rglob("metafile.yml"))


@pytest.mark.parametrize("name", config_names())
def test_copies_name_no_neighbour(name):
    """What a copy inherits of this package exists, and nothing in it is relative to its folder."""
    text = standalone_text(name)
    for inherited in COPIED.findall(text):
        get_config(inherited)
    assert "fileDirname" not in text
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "_base_":
            plain = [each.value for each in ast.walk(node.value) if isinstance(each, ast.Constant)]
            names = set(COPIED.findall(ast.unparse(node.value).replace("'", '"')))
            assert all("::" in each for each in set(plain) - names - {"sos_mm"})


@pytest.mark.parametrize(
    "name",
    [
        "sod_diffusion/sod_diffusion_swinb_light.py",
        "sod_diffusion/sod_diffusion_tiny_64.py",
        "synthesis/ablations_lvis/segments_mixed.py",
    ],
)
def test_copies_read_as_the_originals(name, tmp_path, monkeypatch):
    """With a list of bases, ``{{fileDirname}}`` and ``{{_base_.segments}}`` in them."""
    config = pytest.importorskip("mmengine.config").Config
    if name.startswith("sod"):
        pytest.importorskip("mmseg")
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text(standalone_text(name))
    original = config.fromfile(get_config(name)).to_dict()
    assert config.fromfile(str(tmp_path / name)).to_dict() == original
    (tmp_path / "mine.py").write_text(f'_base_ = __import__("sos_mm").get_config("{name}")\nseed = 5\n')
    assert config.fromfile(str(tmp_path / "mine.py")).to_dict() == {**original, "seed": 5}


def test_verb(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    main(["--list"])
    assert capsys.readouterr().out.split() == config_names()
    main(["synthesis/sample_ten.py"])
    assert capsys.readouterr().out == "sample_ten.py\n"
    assert (
        '_base_ = __import__("sos_mm").get_config("synthesis/sample_detection.py")' in Path("sample_ten.py").read_text()
    )
    main(["synthesis/sample_ten.py", "--out", "mine.py"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.py", "sample_ten.py"]
    Path("sample_ten.py").write_text("mine")
    with pytest.raises(SystemExit, match=r"sample_ten\.py is there already"):
        main(["synthesis/sample_ten.py"])
    assert Path("sample_ten.py").read_text() == "mine"
    (tmp_path / "folder").mkdir()
    for no_config in ("mine", "mine.txt", "folder"):
        with pytest.raises(SystemExit, match=r"must name a file that ends in \.py"):
            main(["synthesis/sample_ten.py", "--out", no_config])
    assert not Path("mine").exists()
    with pytest.raises(SystemExit, match=r"Did you mean 'sod_diffusion/sod_diffusion_tiny\.py'"):
        main(["sod_diffusion/sod_difusion_tiny.py"])
    for wrong in ([], ["--list", "sod_diffusion/sod_diffusion_tiny.py"]):
        with pytest.raises(SystemExit) as ended:
            main(wrong)
        assert ended.value.code == 2


@pytest.mark.parametrize("name", ["sample_ten.py", "sample_ten_held_out.py", "sample_grounding.py"])
def test_recipes_of_the_sample_work_from_any_folder(name, tmp_path, monkeypatch):
    pytest.importorskip("mmengine.config")
    monkeypatch.chdir(tmp_path)
    assert len(load_recipe(get_config(f"synthesis/{name}")).build_bank().categories) == 10
