"""The documentation names what there is: links, configs, error messages, metafiles; README stays short."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

from tests.helpers.config_tables import CONFIGS, braces, configs_of, tables

ROOT = CONFIGS.parent
FAMILIES = ("detection", "grounding", "segmentation", "segments", "sod_diffusion", "synthesis")
PAGES = sorted(
    str(path.relative_to(ROOT)) for path in (ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *CONFIGS.rglob("*.md"))
)
COMMAND = re.compile(r"(?:tools|configs)/[\w./{},-]+\.(?:py|sh|md|json)\b")


def without_code(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)


def anchors(path: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", without_code(path.read_text()), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def broken_links(path: Path) -> list[str]:
    """The links of a page, inline and by reference, that lead to no file of the repository or to no heading of it."""
    text = without_code(path.read_text())
    links = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r"^\[[^\]]+\]: (\S+)", text, flags=re.MULTILINE)
    broken = []
    for link in links:
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        if not target.is_relative_to(ROOT) or not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    return broken


def test_readme_is_short():
    assert (ROOT / "README.md").stat().st_size <= 10_000


def test_readme_has_the_two_commands():
    text = (ROOT / "README.md").read_text()
    for command in ("tools/quickstart.sh", "tools/run_tests.sh"):
        assert re.search(rf"^bash {command} ", text, flags=re.MULTILINE)
        subprocess.run(["bash", "-n", ROOT / command], check=True)


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    assert not broken_links(ROOT / page)


def test_a_broken_link_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr("tests.test_documentation.ROOT", tmp_path)
    (tmp_path / "there.md").write_text("# A heading, here\n")
    page = tmp_path / "page.md"
    page.write_text("[a](there.md) [b](there.md#a-heading-here) [c](https://x.org) [d](gone.md) [e](there.md#gone)\n")
    assert broken_links(page) == ["gone.md", "there.md#gone"]


@pytest.mark.parametrize("page", PAGES)
def test_files_in_commands_exist(page):
    """Every file of ``tools/`` and ``configs/`` that a page names is there."""
    text = (ROOT / page).read_text()
    named = {name for word in COMMAND.findall(text) for name in braces(word) if "*" not in name}
    theirs = {"configs/mm_grounding_dino/dataset_prepare.md", "tools/dataset_converters/coco2odvg.py"}  # mmdet's
    assert not [name for name in named - theirs if not (ROOT / name).exists()]


def named_configs(family: str) -> set[str]:
    """The configs that a family's README names: in tables by the folder of their header, else by their path."""
    text = (CONFIGS / family / "README.md").read_text()
    rows = [row for table in tables(text) for row in table if next(iter(row)).startswith("config in ")]
    assert "*" not in "".join(next(iter(row.values())) for row in rows)  # A pattern names nothing.
    return {name for row in rows for name in configs_of(row)} | set(re.findall(r"`configs/([\w./-]+\.py)`", text))


@pytest.mark.parametrize("family", FAMILIES)
def test_every_config_is_named_in_its_familys_readme(family):
    there = {path.relative_to(CONFIGS).as_posix() for path in (CONFIGS / family).rglob("*.py")}
    if family == "sod_diffusion":
        there |= {path.name for path in CONFIGS.glob("*.py")}
    if family == "grounding":
        there.remove("grounding/sample_tiny.py")  # Stands in the text below the tables.
        assert "`sample_tiny.py`" in (CONFIGS / "grounding/README.md").read_text()
    assert there, f"no config was found in configs/{family}"
    assert there <= named_configs(family)


def test_no_config_is_outside_a_family():
    folders = {path.relative_to(CONFIGS).parts[0] for path in CONFIGS.rglob("*.py")}
    assert folders == {*FAMILIES, "_base_", "sod_diffusion_swinb.py"}


def read_yaml(path: Path) -> dict:
    return pytest.importorskip("yaml").safe_load(path.read_text())


@pytest.mark.parametrize("family", FAMILIES)
def test_metafiles_list_every_config(family):
    metafile = read_yaml(CONFIGS / family / "metafile.yml")
    collections = {each["Name"]: each for each in metafile["Collections"]}
    assert {each["In Collection"] for each in metafile["Models"]} == set(collections)
    assert all((ROOT / each["README"]).is_file() and each["Paper"]["URL"] for each in collections.values())
    names = [each["Name"] for each in metafile["Models"]]
    assert len(set(names)) == len(names)
    there = {path.relative_to(ROOT).as_posix() for path in (CONFIGS / family).rglob("*.py")}
    there |= {"configs/sod_diffusion_swinb.py"} if family == "sod_diffusion" else set()
    listed = [each["Config"] for each in metafile["Models"]]
    assert sorted(listed) == sorted(there)


@pytest.mark.parametrize("family", FAMILIES)
def test_metafiles_have_only_results_of_ours(family):
    """Each figure is in the part of the README that says how we measured it; no other config has results."""
    _, _, ours = (CONFIGS / family / "README.md").read_text().partition("## Measured by us")
    measured = {"sod_diffusion_tiny", "sample_tiny", "sample_rtmdet_ins"}
    for model in read_yaml(CONFIGS / family / "metafile.yml")["Models"]:
        results = model.get("Results", [])
        assert bool(results) == (model["Name"] in measured)
        for value in (value for each in results for value in each["Metrics"].values()):
            assert f" {value} " in ours


def messages() -> list[str]:
    """The strings of the code, with a mark where values are put in, and the texts of its shell scripts."""
    found = [path.read_text() for path in (ROOT / "tools").glob("*.sh")]
    for path in [*(ROOT / "sos_mm").rglob("*.py"), *(ROOT / "tools").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                found.append("".join(part.value if isinstance(part, ast.Constant) else "\0" for part in node.values))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return found


def test_troubleshooting_quotes_messages_of_the_code():
    """Each heading is a message as the code has it; dots stand for values."""
    text = without_code((ROOT / "docs/troubleshooting.md").read_text())
    quoted = [first or second for first, second in re.findall(r"^### (?:`` (.+) ``|`([^`]+)`)$", text, flags=re.M)]
    assert len(quoted) == len(re.findall(r"^### ", text, flags=re.M)) > 30
    known = messages()
    patterns = [".*?".join(map(re.escape, each.split("..."))) for each in quoted]
    assert not [each for each in patterns if not any(re.search(each, message, re.DOTALL) for message in known)]


def test_architecture_lists_every_folder_of_the_package():
    """And every leaf; files that a row names are in its folder."""
    (folders,) = [table for table in tables((ROOT / "docs/architecture.md").read_text()) if "folder" in table[0]]
    listed = {row["folder"].strip("`").removesuffix("/"): row["what it holds"] for row in folders}
    package = ROOT / "sos_mm"
    there = {path.parent.relative_to(ROOT).as_posix() for path in package.rglob("__init__.py")} | {
        "sos_mm/sample",
        "sos_mm/templates",
    }
    assert {name for name in listed if name.startswith("sos_mm")} == there
    leaves = {path.name for path in package.glob("*.py")} - {"__main__.py"}
    assert set(re.findall(r"`(\w+\.py)`", listed["sos_mm"])) == leaves
    for folder, text in listed.items():
        if folder.startswith("sos_mm"):
            assert not [name for name in re.findall(r"`(\w+\.py)`", text) if not (ROOT / folder / name).is_file()]
