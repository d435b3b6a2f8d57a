"""`sos-mm refer`: what it writes is true, what it checks is told, and a killed run goes on."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from sos_mm.annotations.validate import validate
from sos_mm.cli.refer import main
from sos_mm.formats.mdetr import read_mdetr
from sos_mm.formats.refs import read_refs
from sos_mm.referring.reading import AnnotatedImages
from sos_mm.referring.verify import verify
from sos_mm.synthesis import Recipe, synthesize
from tests.helpers.processes import run_killed

ALL = ("odvg", "grefcoco", "refcoco", "refs", "dod", "intra_class")
FORMS = (
    "odvg_referring.jsonl", "odvg_expressions.jsonl", "grefcoco.json", "refcoco.json", "grefs.json", "intra_class.json",
)  # fmt: skip
RECIPE = {
    "canvas": (200, 240),
    "backgrounds": {"type": "gradient"},
    "layout": {"type": "StructuredLayout", "counts": (2, 7), "crowded": "fewer"},
    "sampling": "single_category",
    "formats": ["coco", "objects", "panoptic"],
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    out = tmp_path_factory.mktemp("data") / "set"
    synthesize(Recipe.from_dict(RECIPE), out, 12, progress=False)
    return out


@pytest.fixture(scope="module")
def written(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("written")
    assert main([str(data), "--out", str(out), "--outputs", *ALL]) == 0
    return out


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def summary(out: Path) -> dict:
    return json.loads((out / "referring_summary.json").read_text(encoding="utf-8"))


def contents(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


def test_everything_written_is_true(data, written):
    images = {image.file_name: image for image in AnnotatedImages(data, pixels=True)}
    said = 0
    for line in lines(written / "referring.jsonl"):
        for each in line["expressions"]:
            assert verify(images[line["file_name"]], each["text"], each["targets"]).status == "true"
            said += 1
    counted = summary(written)
    assert counted["expressions"] == said == sum(counted["by kind"].values())
    assert counted["records"]["grefcoco.json"] == counted["records"]["odvg_expressions.jsonl"] == said > 80
    assert set(counted["by number of targets"]) == {"none", "one", "several"}
    assert counted["images"] == 12


def test_forms_say_the_same(data, written):
    ours = {each["id"]: each for line in lines(written / "referring.jsonl") for each in line["expressions"]}
    mdetr = {each.id: each for each in read_mdetr(written / "grefcoco.json")}
    refs = {each.id: each for each in read_refs(written / "grefs.json", data / "annotations/instances.json", "train")}
    assert ours.keys() == mdetr.keys() == refs.keys()
    for id, each in ours.items():
        assert each["text"] == mdetr[id].text == refs[id].text
        for other in (mdetr[id], refs[id]):
            assert [list(map(float, target.box)) for target in other.targets] == each["boxes"]
            assert [target.category_id for target in other.targets] == each["category_ids"]
        assert [target.id for target in refs[id].targets] == each["ids"]
    single = {each.id for each in read_mdetr(written / "refcoco.json")}
    assert single == {id for id, each in ours.items() if len(each["targets"]) == 1}


@pytest.mark.parametrize("name", FORMS)
def test_forms_are_sound(data, written, name):
    assert validate(written / name).describe().endswith("no faults")


def test_the_same_command_gives_the_same_bytes(data, written, tmp_path):
    assert main([str(data), "--out", str(tmp_path / "again"), "--outputs", *ALL]) == 0
    assert contents(tmp_path / "again") == contents(written)
    assert main([str(data), "--out", str(tmp_path / "other"), "--outputs", "--seed", "1"]) == 0
    assert (tmp_path / "other/referring.jsonl").read_bytes() != (written / "referring.jsonl").read_bytes()


@pytest.mark.parametrize("name", ["grefcoco.json", "grefs.json", "dod.json", "odvg_expressions.jsonl"])
def test_files_of_others_are_not_replaced(data, tmp_path, name, capsys):
    """Such as the authors' gRefCOCO in the folder of annotations, or the file of `--expressions` itself."""
    (tmp_path / name).write_text("mine")
    with pytest.raises(SystemExit, match=rf"{name} belongs to no run that referring_summary\.json beside it names"):
        main([str(data), "--out", str(tmp_path), "--outputs", *ALL])
    assert sorted(each.name for each in tmp_path.iterdir() if not each.name.startswith(".")) == [name]
    assert (tmp_path / name).read_text() == "mine"


def test_only_files_that_would_be_written_count(data, tmp_path):
    (tmp_path / "dod.json").write_text("mine")
    assert main([str(data), "--out", str(tmp_path), "--outputs", "odvg"]) == 0
    assert (tmp_path / "dod.json").read_text() == "mine"


def test_the_file_of_expressions_is_not_replaced(data, written, tmp_path):
    """Though the folder is of a run."""
    shutil.copytree(written, tmp_path / "out")
    given, before = tmp_path / "out/grefcoco.json", (written / "grefcoco.json").read_bytes()
    with pytest.raises(SystemExit, match="belongs to another run"):
        main([str(data), "--out", str(tmp_path / "out"), "--expressions", str(given), "--outputs", *ALL])
    assert given.read_bytes() == before


def check(data: Path, file: Path, tmp_path: Path, *options: str) -> tuple[int, dict]:
    report = tmp_path / "report.json"
    code = main([str(data), "--verify", str(file), "--report", str(report), *options])
    return code, json.loads(report.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", ["referring.jsonl", "grefcoco.json"])
def test_true_ones_are_found_true(data, written, tmp_path, name, capsys):
    code, report = check(data, written / name, tmp_path)
    assert code == 0
    assert report["counts"] == {"true": summary(written)["expressions"], "refused": 0, "undecidable": 0}
    assert report["verdicts"] == []
    assert "(100.0%), 0 refused (0.0%), 0 undecidable (0.0%)" in capsys.readouterr().out


def test_an_authors_list_is_checked_against_its_instances(data, written, tmp_path):
    """COCO instances know no phrase, so words of it are not understood there; none is refused."""
    code, report = check(data / "annotations/instances.json", written / "grefs.json", tmp_path)
    assert code == 0
    assert report["counts"]["true"] > 10
    assert report["counts"]["refused"] == 0


def test_false_ones_are_refused_with_reasons(data, written, tmp_path):
    """Each singular expression is said to mean another object, and what means nothing is said to mean one."""
    changed, wrong = lines(written / "referring.jsonl"), 0
    for line in changed:
        size = len({box for each in line["expressions"] for box in map(tuple, each["boxes"])})
        for each in line["expressions"]:
            for key in ("ids", "boxes", "category_ids", "meaning"):
                del each[key]
            if size > 1 and len(each["targets"]) < 2:
                each["targets"] = [1 if each["targets"] == [0] else 0]
                wrong += 1
    path = tmp_path / "wrong.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in changed))
    code, report = check(data, path, tmp_path)
    assert code == 1
    assert report["counts"]["refused"] == wrong > 40
    assert sum(report["reasons"]["refused"].values()) == wrong
    assert len(report["verdicts"]) == wrong
    assert all(each["reason"] and each["text"] and each["file_name"] for each in report["verdicts"])


def test_what_the_data_set_lacks_is_undecidable(data, tmp_path):
    image = lines(data / "annotations/objects.jsonl")[0]["file_name"]
    said = [{"text": "the thing", "boxes": [[0, 0, 3, 3]]}, {"text": "the thing", "targets": [99]}]
    records = [{"file_name": image, "expressions": said}, {"file_name": "none.jpg", "expressions": said}]
    records.append({"image_id": 2, "expressions": [{"text": "flimflam", "targets": [0]}]})
    path = tmp_path / "claims.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in records))
    code, report = check(data, path, tmp_path)
    assert code == 0
    assert report["reasons"]["undecidable"] == {
        "a target is not among the annotations": 2,
        "the image is not in the data set": 2,
        "not understood": 1,
    }


def test_expressions_of_others_are_taken_if_they_are_proved(data, written, tmp_path, capsys):
    given, taken = lines(written / "referring.jsonl"), 0
    for line in given:
        for place, each in enumerate(line["expressions"]):
            if place % 2:
                each["text"] = "what nobody understands"
            taken += place % 2 == 0
            for key in set(each) - {"text", "targets"}:
                del each[key]
    path = tmp_path / "given.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in given))
    out = tmp_path / "out"
    assert main([str(data), "--expressions", str(path), "--out", str(out)]) == 0
    kept = [each for line in lines(out / "referring.jsonl") for each in line["expressions"]]
    assert len(kept) == taken
    known = {each["id"]: each for line in lines(written / "referring.jsonl") for each in line["expressions"]}
    kinds = {(each["text"], tuple(each["targets"])): each["kind"] for each in known.values()}
    assert all(kinds[each["text"], tuple(each["targets"])] == each["kind"] for each in kept)
    assert summary(out)["checked"]["reasons"]["undecidable"] == {"not understood": len(known) - taken}
    assert "not understood" in capsys.readouterr().out


def test_a_killed_run_goes_on(data, written, tmp_path):
    """The bytes of a run that nobody disturbed, and no stray files."""
    out = tmp_path / "out"
    command = ["refer", str(data), "--out", str(out), "--outputs", *ALL]
    run_killed(command, "sos_mm.cli.refer.image_line", 3)
    assert len(lines(out / ".referring.jsonl.part")) == 2
    assert main(command[1:]) == 0
    assert contents(out) == contents(written)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--seed", "1"], r"seed 0 instead of 1"),
        (["--no-pixels"], r"no_pixels False instead of True"),
        (["--expressions", "{written}/grefcoco.json"], "of another expressions file"),
    ],
)
def test_what_another_run_made_is_not_overwritten(data, written, tmp_path, options, said):
    out = tmp_path / "out"
    shutil.copytree(written, out)
    options = [each.format(written=written) for each in options]
    with pytest.raises(SystemExit, match=rf"referring\.jsonl belongs to another run \({said}\): name another folder"):
        main([str(data), "--out", str(out), "--outputs", *options])
    assert contents(out) == contents(written)


def test_what_other_annotations_gave_is_not_overwritten(data, written, tmp_path):
    out, other = tmp_path / "out", tmp_path / "set"
    shutil.copytree(written, out)
    shutil.copytree(data, other)
    # The same content at another place is the same run.
    assert main([str(other), "--out", str(out), "--outputs", *ALL]) == 0
    assert contents(out) == contents(written)
    with open(other / "annotations/objects.jsonl", "r+") as file:
        first, *_ = file.readlines()
        file.seek(0)
        file.truncate()
        file.write(first)
    with pytest.raises(SystemExit, match=r"another run \(of another annotation file\): name"):
        main([str(other), "--out", str(out), "--outputs"])
    assert contents(out) == contents(written)


def test_a_file_that_no_run_noted_is_not_overwritten(data, tmp_path):
    (tmp_path / "referring.jsonl").write_text("mine\n")
    for noted in (None, "{}", "[]"):
        if noted is not None:
            (tmp_path / "referring_summary.json").write_text(noted)
        before = contents(tmp_path)
        with pytest.raises(SystemExit, match=r"referring\.jsonl .*belongs to no run"):
            main([str(data), "--out", str(tmp_path), "--outputs"])
        assert contents(tmp_path) == before


def test_other_outputs_of_the_same_run_are_added(data, written, tmp_path):
    out = tmp_path / "out"
    assert main([str(data), "--out", str(out), "--outputs"]) == 0
    assert main([str(data), "--out", str(out), "--outputs", *ALL]) == 0
    assert contents(out) == contents(written)


def test_what_another_run_began_is_not_overwritten(data, written, tmp_path):
    """Unless it has nothing yet."""
    out = tmp_path / "out"
    command = ["refer", str(data), "--out", str(out), "--outputs"]
    run_killed(command, "sos_mm.cli.refer.image_line", 4)
    with pytest.raises(SystemExit, match=r"another run \(seed 0 instead of 1\): name"):
        main([*command[1:], "--seed", "1"])
    assert main(command[1:]) == 0
    assert (out / "referring.jsonl").read_bytes() == (written / "referring.jsonl").read_bytes()


def test_what_a_recipe_made_is_not_overwritten(tmp_path):
    recipe = Recipe.from_dict({**RECIPE, "formats": ["objects", "referring"]})
    synthesize(recipe, tmp_path / "set", 3, progress=False)
    before = contents(tmp_path / "set")
    with pytest.raises(SystemExit, match="is part of the data set, by its recipe"):
        main([str(tmp_path / "set"), "--out", str(tmp_path / "set/annotations"), "--outputs", "dod"])
    assert contents(tmp_path / "set") == before


def test_images_on_unknown_backgrounds_have_none_and_the_reason_is_told(tmp_path, capsys):
    (tmp_path / "photographs").mkdir()
    cv2.imwrite(str(tmp_path / "photographs/a.png"), np.full((240, 240, 3), 90, np.uint8))
    recipe = RECIPE | {"backgrounds": {"type": "folder", "root": str(tmp_path / "photographs")}}
    synthesize(Recipe.from_dict(recipe), tmp_path / "set", 2, progress=False)
    told = []
    for name, options in (("stated", []), ("all", ["--complete", "all"])):
        main([str(tmp_path / "set"), "--out", str(tmp_path / name), "--outputs", "grefcoco", *options])
        told.append(capsys.readouterr().out)
    assert "2 images have none: the recipe does not say by `background_categories`" in told[0]
    assert "as the shipped synthesis/sample_referring.py does" in told[0]
    assert "background_categories" not in told[1]
    assert summary(tmp_path / "all")["expressions"] > 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["{data}"], "give one of --out"),
        (["{data}", "--out", "{tmp}", "--verify", "x"], "give one of --out"),
        (["{data}", "--out", "{tmp}", "--report", "x"], "--report is for --verify"),
        (["{data}", "--verify", "x", "--expressions", "y"], "--expressions is for --out"),
        (["{data}", "--out", "{tmp}", "--tokens", "300", "400"], "`tokens` must be an integer in"),
        (["{data}", "--out", "{tmp}", "--tokenizer", "{tmp}/none"], "none does not exist"),
        (["{data}", "--verify", "{tmp}/none.json"], "none.json does not exist"),
        (["{tmp}/nothing", "--out", "{tmp}"], "nothing does not exist"),
        (["{data}", "--out", "{tmp}", "--language", "xx"], "invalid choice"),
        (["{data}", "--out", "{tmp}", "--images", "{tmp}/none"], "none does not exist"),
    ],
)
def test_faulty_calls(data, tmp_path, arguments, said, capsys):
    with pytest.raises(SystemExit) as exit:
        main([each.format(data=data, tmp=tmp_path) for each in arguments])
    assert said in f"{exit.value}{capsys.readouterr().err}"


def test_references_without_their_instances(tmp_path, data, written):
    from sos_mm.referring.matching import read_claims

    with pytest.raises(ValueError, match="give that file as the data set"):
        list(read_claims(written / "grefs.json"))


def test_categories_in_other_scripts_and_twins(tmp_path):
    """Nothing tells twins apart, and a name that the language has no plural for is said as it is, or not at all."""
    square = {"bbox": [10, 10, 20, 20], "iscrowd": 0}
    twins = [{"id": id, "image_id": 1, "category_id": 1, **square} for id in (1, 2)]
    other = {"id": 3, "image_id": 2, "category_id": 1, **square}
    content = {
        "images": [{"id": id, "file_name": f"{id}.jpg", "height": 60, "width": 80} for id in (1, 2, 3)],
        "annotations": [*twins, other],
        "categories": [{"id": 1, "name": "猫"}, {"id": 2, "name": "собака"}],
    }
    path = tmp_path / "instances.json"
    path.write_text(json.dumps(content))
    out = tmp_path / "out"
    assert main([str(path), "--no-pixels", "--out", str(out), "--outputs", *ALL]) == 0
    made = lines(out / "referring.jsonl")
    assert [each["targets"] for each in made[0]["expressions"] if len(each["targets"]) == 1] == []
    images = list(AnnotatedImages(path))
    for image, line in zip(images, made, strict=True):
        for each in line["expressions"]:
            assert verify(image, each["text"], each["targets"]).status == "true"
