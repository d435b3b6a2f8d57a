"""Figures that papers print stand beside the configs of their rows: documentation, configs and one table agree."""

import io
import json
import re
import tokenize
from pathlib import Path

import pytest

from tests.helpers.config_tables import CONFIGS, configs_of, tables

FAMILIES = ("detection", "grounding", "segmentation")
TABLE = json.loads((CONFIGS / "published_figures.json").read_text())
ROWS = TABLE["rows"]
METRICS = {metric for row in ROWS for metric in row["figures"]}


def section(text: str) -> str:
    """What a family's README says of its configs, without its commands and without what we measured ourselves."""
    return re.sub(r"```.*?```", "", text.split("## Measured by us")[0], flags=re.DOTALL)


README = "\n".join(section((CONFIGS / family / "README.md").read_text()) for family in FAMILIES)


def disagreements(text: str) -> list[str]:
    """What the tables of the families' READMEs say otherwise than the table of published figures."""
    found, seen = [], []
    for row in (row for table in tables(text) for row in table):
        configs = configs_of(row)
        cells = {metric: cell for metric, cell in row.items() if metric in METRICS}
        printed = [tuple(each.split(", ", 1)) for each in row.get("printed as", "").split("; ") if each]
        published = [each for each in ROWS if (each["place"], each["row"]) in printed]
        if len(published) != len(printed):
            found.append(f"{printed} is not in the table of published figures.")
        if (printed or any(cells.values())) and len(configs) > 1:
            found.append(f"{configs} share figures.")
        for each in published:
            if [each["config"]] != (configs or [None]):
                found.append(f"{each['place']}, {each['row']} stands beside {configs}, but is of {each['config']}.")
        for metric, cell in cells.items():
            wanted = {each["figures"][metric] for each in published if metric in each["figures"]}
            if {float(cell)} != wanted if cell else wanted:
                found.append(
                    f"{metric} beside {configs or printed} is {cell or 'empty'}, but printed {wanted or 'not'}."
                )
        seen += printed
    for each in ROWS:
        if each["config"] and seen.count((each["place"], each["row"])) != 1:
            found.append(f"{each['place']}, {each['row']} is not there once.")
    return found


def test_readmes_print_what_the_table_holds():
    assert disagreements(README) == []
    assert sum(len(table) for table in tables(README)) > 40


def lines_with_figures() -> list[str]:
    return [line for line in README.splitlines() if re.search(r"\| [+\d.]+ \|$", line)]


@pytest.mark.parametrize("number", range(len(lines_with_figures())))
def test_a_figure_in_another_row_is_found(number):
    """Swapped figures of two rows, a figure moved to a row without any, and a changed or lost digit."""
    lines = lines_with_figures()
    line = lines[number]
    kept, figures = re.fullmatch(r"(.*?)((?: [+\d.]+ \|)+)", line).groups()
    others = [each for each in lines if each.count("|") == line.count("|") and not each.endswith(figures)]
    for other in others:
        other_kept, other_figures = re.fullmatch(r"(.*?)((?: [+\d.]+ \|)+)", other).groups()
        moved = README.replace(line, kept + other_figures).replace(other, other_kept + figures)
        assert moved != README
        assert disagreements(moved)
    first = re.search(r"[+\d.]+", figures)[0]
    assert disagreements(README.replace(line, kept + figures.replace(first, f"{float(first) + 0.1:.2f}", 1)))
    assert disagreements(README.replace(line, kept + figures.replace(f" {first} ", " ", 1)))
    # The same figures under the name of a config that the table does not list.
    unlisted = line.replace("real-composed", "composed").replace("-mix.py", ".py").replace("mask2former_r50_", "other_")
    unlisted = unlisted.replace("t_referring", "t_composed").replace(
        "single-category", "single-category-with-categories"
    )
    if "`" in line:
        assert unlisted != line
        assert disagreements(README.replace(line, unlisted))


def test_a_figure_beside_a_config_without_any_is_found():
    line = next(each for each in README.splitlines() if re.match(r"\| `[\w-]+_composed-{50k", each))
    assert disagreements(README.replace(line, re.sub(r" \| \|$", " | 29.8 |", line)))


def test_every_config_is_in_its_readme_once():
    named = [name for table in tables(README) for row in table for name in configs_of(row)]
    there = [str(path.relative_to(CONFIGS)) for family in FAMILIES for path in (CONFIGS / family).rglob("*.py")]
    printed = {name for name in there if not Path(name).name.startswith("sample_")}
    assert sorted(name for name in named if name in printed) == sorted(printed)
    assert set(named) <= set(there)


def test_figures_in_sentences_are_published():
    """Every number with a decimal point in the sentences is in the table of published figures."""
    published = {value for row in ROWS for value in row["figures"].values()}
    sentences = "\n".join(line for line in README.splitlines() if not line.startswith("|"))
    said = {float(each) for each in re.findall(r"(?<![\w.])\d+\.\d+(?![\w.]*\w)", sentences)}
    assert said, "no number was found in the sentences"
    assert said <= published


def test_apes_figures_are_beside_no_config():
    """mmdet has no APE: its figures stand in a note."""
    rows = [row for row in ROWS if row["place"] == "Figure 4"]
    assert {value for row in rows for value in row["figures"].values()} == {46.96, 40.87, 48.48, 44.70}
    assert all(row["config"] is None and "APE" in row["note"] for row in rows)


def test_configs_print_no_figures():
    """Figures have one place: no comment of a config repeats one."""
    published = {f"{value:g}" for row in ROWS for value in row["figures"].values()}
    for path in [path for family in (*FAMILIES, "synthesis", "_base_") for path in (CONFIGS / family).rglob("*.py")]:
        tokens = tokenize.generate_tokens(io.StringIO(path.read_text()).readline)
        comments = " ".join(token.string for token in tokens if token.type == tokenize.COMMENT)
        assert not published & {f"{float(each):g}" for each in re.findall(r"\d+\.\d+", comments)}, path


def test_the_table_is_whole():
    """Each row says its paper, is there once, and names a config that is there or says why there is none."""
    keys = [(row["paper"], row["place"], row["row"]) for row in ROWS]
    assert len(set(keys)) == len(keys)
    for row in ROWS:
        assert row["paper"] in TABLE["papers"]
        assert row["figures"]
        if row["config"] is None:
            assert row["note"]
        else:
            assert (CONFIGS / row["config"]).is_file()
    # A config has one figure of each metric, however many rows print it.
    for config in {row["config"] for row in ROWS} - {None}:
        figures = [row["figures"] for row in ROWS if row["config"] == config]
        assert all(each == figures[0] for each in figures), config


def load(name: str):
    """A config without importing what it imports, so that mmdet's operators are not needed."""
    pytest.importorskip("mmdet", exc_type=ImportError)
    from mmengine.config import Config

    return Config.fromfile(CONFIGS / name, import_custom_modules=False)


@pytest.mark.parametrize("row", [row for row in ROWS if row["config"]], ids=lambda row: f"{row['place']}, {row['row']}")
def test_a_config_trains_on_what_its_row_says(row):
    """The sets that a row names are those in the config, beside replayed real data wherever the model is pretrained."""
    config = load(row["config"])
    data = config.train_dataloader.dataset
    places = [Path(each.data_root).name for each in data.get("datasets", [data])]
    named = re.findall(r"SOS-(\w+-\w+)", row["row"])
    if named:
        composed = [place for place in places if re.fullmatch(r"S?[FG]C-\w+", place)]
        assert list(dict.fromkeys(composed)) == named
        assert {"flickr30k_entities", "objects365v1", "gqa"} < set(places)
        assert ("V3Det" in places) == ("V3Det" in row["row"])
    elif row["place"] == "Figure 5":
        part = re.search(r"(\d+)%", row["row"])
        coco, mixed = data.datasets
        assert coco.ann_file.endswith(f"_{part[1]}percent.json" if part else "train2017.json")
        assert Path(mixed.data_root).name == f"COCO-mix-{f'{part[1]}percent-' if part else ''}50K"
    else:
        assert row["place"] == "Table 3"
        assert places == [Path(row["config"]).stem.removeprefix("mask2former_r50_").replace("-", "_")]
        assert (CONFIGS / f"synthesis/ablations/{places[0]}.py").is_file()
