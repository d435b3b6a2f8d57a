"""Expressions as part of a recipe: true of the scenes, the same bytes with any number of workers, and refused where the
backgrounds are unknown."""

import json

import pytest

from sos_mm.annotations.validate import validate
from sos_mm.formats.intra_class import read_intra_class
from sos_mm.formats.mdetr import read_mdetr
from sos_mm.referring.from_scene import annotated
from sos_mm.referring.reading import AnnotatedImages
from sos_mm.referring.verify import verify
from sos_mm.synthesis import Recipe, reproduce, synthesize
from tests.helpers.composed import VOCABULARY, Composed, recipe_dict
from tests.synthesis.test_synthesis import folder_hash

FILES = ("odvg_referring.jsonl", "odvg_expressions.jsonl", "grefcoco.json", "refcoco.json", "intra_class.json")


@pytest.fixture(scope="module")
def composed(tmp_path_factory):
    return Composed(tmp_path_factory.mktemp("composed"), formats=["coco", "objects", "referring"])


def expressions(composed) -> list[dict]:
    return [each for line in composed.lines("annotations/referring.jsonl") for each in line["expressions"]]


def test_expressions_are_true_of_the_scenes(composed):
    said = 0
    for line, scene in zip(composed.lines("annotations/referring.jsonl"), composed.scenes, strict=True):
        image = annotated(scene, {"object", *VOCABULARY}, line["file_name"])
        for each in line["expressions"]:
            assert each["boxes"] == [list(scene.objects[target].box) for target in each["targets"]]
            assert verify(image, each["text"], each["targets"]).status in ("true", "undecidable")
            said += 1
        assert line["image_id"] == line["index"] + 1
    assert said > 60


def test_images_with_many_lines_are_reproduced(tmp_path):
    out = Composed(tmp_path, num=4, formats=["referring"]).out
    # An image has several lines here, so that its first one is not found by its index.
    path = out / "annotations/odvg_expressions.jsonl"
    names = [json.loads(line)["filename"] for line in path.read_text().splitlines()]
    assert len(names) > len(set(names)) > 1
    for index in range(4):
        reproduce(out, index)
    lines = path.read_text().splitlines(keepends=True)
    changed = names.index(names[-1]) + 1
    path.write_text("".join([*lines[:changed], lines[changed].replace("caption", "kaption"), *lines[changed + 1 :]]))
    reproduce(out, 0)
    with pytest.raises(ValueError, match=r"\(lines of image \d in annotations/odvg_expressions\.jsonl\)"):
        reproduce(out, int(names[-1].partition(".")[0]))


def verdicts(composed) -> list[str]:
    """What the data set's own files say of its expressions, categories as the vocabulary spells them."""
    lines = composed.lines("annotations/referring.jsonl")
    return [
        verify(image, each["text"], each["targets"]).status
        for image, line in zip(AnnotatedImages(composed.out, pixels=True), lines, strict=True)
        for each in line["expressions"]
    ]


def test_the_tool_finds_them_true(composed, tmp_path):
    """Of JPEG files, whose colours are slightly others, some colours are no longer sure; none is false."""
    found = verdicts(composed)
    assert "refused" not in found
    assert found.count("true") > 0.9 * len(found)
    exact = Composed(tmp_path, formats=["coco", "objects", "referring"], image_format="png")
    assert set(verdicts(exact)) == {"true"}


@pytest.mark.parametrize("name", FILES)
def test_files_are_sound(composed, name):
    assert validate(composed.out / "annotations" / name).describe().endswith("no faults")


def test_files_say_the_same(composed):
    ours = {each["id"]: each for each in expressions(composed)}
    for name, chosen in (
        ("grefcoco.json", lambda each: True),
        ("refcoco.json", lambda each: len(each["targets"]) == 1),
    ):
        read = {each.id: each for each in read_mdetr(composed.out / "annotations" / name)}
        assert read.keys() == {id for id, each in ours.items() if chosen(each)}
        for id, each in read.items():
            assert (each.text, [list(map(int, target.box)) for target in each.targets]) == (
                ours[id]["text"],
                ours[id]["boxes"],
            )
            assert [target.category_id for target in each.targets] == ours[id]["category_ids"]
    samples = list(read_intra_class(composed.out / "annotations/intra_class.json"))
    for each in samples:
        (box,) = each.targets
        scene = composed.scenes[int(each.image["file_name"].split(".")[0])]
        same = [
            list(map(float, other.box))
            for other in scene.objects
            if VOCABULARY_ID[other.category.lower().replace("_", " ")] == each.category_id
        ]
        assert sorted([list(box), *map(list, each.distractors)]) == sorted(same)
    assert samples


VOCABULARY_ID = {name.lower().replace("_", " "): id for name, id in VOCABULARY.items()}


def small(folder, **changes) -> Recipe:
    return Recipe.from_dict(recipe_dict(folder, **{"formats": ["objects", "referring"], **changes}))


def test_the_same_bytes_with_any_number_of_workers(tmp_path):
    recipe = small(tmp_path)
    for workers in (1, 3):
        synthesize(recipe, tmp_path / str(workers), 9, workers=workers, shard_size=2, seed=4, progress=False)
    assert folder_hash(tmp_path / "1") == folder_hash(tmp_path / "3")


def test_an_interrupted_run_is_finished(tmp_path, monkeypatch):
    from sos_mm.synthesis import making

    recipe, make = small(tmp_path), making.ShardMaker.make
    synthesize(recipe, tmp_path / "whole", 9, shard_size=2, progress=False)

    def broken(self, out, number, indices):
        if number == 3:
            raise KeyboardInterrupt
        return make(self, out, number, indices)

    monkeypatch.setattr(making.ShardMaker, "make", broken)
    with pytest.raises(KeyboardInterrupt):
        synthesize(recipe, tmp_path / "again", 9, shard_size=2, progress=False)
    monkeypatch.undo()
    synthesize(recipe, tmp_path / "again", 9, shard_size=2, progress=False)
    assert folder_hash(tmp_path / "whole") == folder_hash(tmp_path / "again")


def test_images_are_those_of_a_recipe_without(tmp_path):
    """Expressions draw from a purpose of their own: nothing else of the data set changes."""
    for name, formats in (("with", ["coco", "odvg", "referring"]), ("without", ["coco", "odvg"])):
        synthesize(small(tmp_path, formats=formats), tmp_path / name, 4, progress=False)
    for path in (tmp_path / "without").rglob("*"):
        if path.is_file() and path.name not in ("manifest.json", "checksums.sha256"):
            assert path.read_bytes() == (tmp_path / "with" / path.relative_to(tmp_path / "without")).read_bytes()


def test_unknown_backgrounds_are_refused(tmp_path):
    photographs = {"type": "sample"}
    with pytest.raises(ValueError, match="'referring' needs `background_categories`"):
        small(tmp_path, backgrounds=photographs)
    small(tmp_path, backgrounds=photographs, formats=["objects"])
    recipe = small(tmp_path, backgrounds=photographs, background_categories=["ring"])
    synthesize(recipe, tmp_path / "out", 6, progress=False)
    lines = (tmp_path / "out/annotations/referring.jsonl").read_text(encoding="utf-8").splitlines()
    said = [each for line in lines for each in json.loads(line)["expressions"]]
    assert said
    # A ring may be in the background: none is unique, and none is absent.
    assert not [each for each in said if 90 in each["category_ids"] and len(each["targets"]) == 1]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"outputs": "odvg"}, "`outputs` must be a list of names"),
        ({"outputs": ["dod"]}, "`outputs` must be one of 'odvg', 'grefcoco', 'refcoco', 'intra_class'"),
        ({"language": "xx"}, "`language` must be one of"),
        ({"tokens": (10, 300)}, "`tokens` must be an integer in"),
        ({"output": ["odvg"]}, "Did you mean 'outputs'"),
    ],
)
def test_faulty_options(tmp_path, options, said):
    with pytest.raises(ValueError, match=said):
        small(tmp_path, formats=[{"type": "referring", **options}])


def test_a_missing_tokenizer_is_told_at_once(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"vocab\.txt does not exist"):
        small(tmp_path, formats=[{"type": "referring", "tokenizer": str(tmp_path / "vocab.txt")}])
