"""Bad inputs of every family through the command line: refused in one line that names file or key, or used rightly.

All of them take minutes (marker `slow`); the default tests run a few of each family. Print the table with
``pytest tests/faults/test_bad_inputs.py -m slow -s``.
"""

import pytest

from tests.faults import image_files, inputs, listings, manifests, names, networks, outputs, world
from tests.faults.judging import describe, judge_all, wrong_ones
from tests.helpers.commands import run

for needed in ("onnx", "onnxruntime", "PIL", "yaml", "mmengine.config"):
    pytest.importorskip(needed)

MAKERS = {
    "fields": inputs.field_cases,
    "recipes": inputs.recipe_cases,
    "index": inputs.index_cases,
    "photographs": image_files.image_cases,
    "masks": image_files.mask_cases,
    "listings": listings.listing_cases,
    "videos": outputs.video_cases,
    "networks": networks.network_cases,
    "manifests": manifests.manifest_cases,
    "names": names.name_cases,
    "names on pages": names.browse_cases,
}
# Of each family, how many of the cases the default tests run.
_FEW = 5


def few(cases):
    """Returns cases that are evenly spread over a table; none of `sos-mm check`, which imports torch and mmseg."""
    quick = [case for case in cases if case.tool != "check"]
    return quick[:: -(-len(quick) // _FEW)]


def test_ids_of_cases_differ():
    ids = [case.id for make in MAKERS.values() for case in make()]
    assert len(set(ids)) == len(ids)
    assert len(ids) >= 400


@pytest.mark.slow
@pytest.mark.parametrize("kind", inputs.READERS)
def test_good_inputs_are_accepted(kind, tmp_path):
    """Each tool accepts the inputs that the cases spoil, so that a refusal is about what was spoiled."""
    folder = world.build(tmp_path)
    for place, (tool, argv) in enumerate(inputs.READERS[kind].items()):
        words = [str(each).replace(str(folder / "out.arrow"), str(folder / f"{place}.arrow")) for each in argv(folder)]
        words = [each.replace("/page", f"/page{place}").replace("/words", f"/words{place}") for each in words]
        ended = run([each.replace("/made", f"/made{place}") for each in words])
        assert (ended.code, ended.raised) == (0, ""), (tool, ended)


@pytest.mark.parametrize("family", MAKERS)
def test_few_bad_inputs(family, tmp_path):
    judged = judge_all(few(MAKERS[family]()), tmp_path)
    assert not wrong_ones(judged), describe(judged)


@pytest.mark.slow
def test_all_bad_inputs(tmp_path):
    pytest.importorskip("mmseg")
    judged = judge_all((case for make in MAKERS.values() for case in make()), tmp_path)
    print(f"\n{describe(judged)}")
    assert not wrong_ones(judged)
