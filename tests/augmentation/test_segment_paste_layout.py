"""SegmentPaste: its default layouts, and the limit of enlargement."""

import json

import cv2
import numpy as np
import pytest

pytest.importorskip("mmcv")

from sos_mm.augmentation.paste_source import PasteSource
from sos_mm.augmentation.segment_paste import default_layout
from sos_mm.composition import SourceSizeLayout, StructuredLayout
from sos_mm.segments import build_bank, build_index
from sos_mm.segments.readers.coco import read_annotated
from tests.augmentation.samples import boxes_of, build, random_sample


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Two photographs of 100x200 with a dog of 20x20, and a small and a large cat, none near another."""
    folder = tmp_path_factory.mktemp("photographs")
    rng, items, images = np.random.default_rng(0), [], []
    for image_id in (1, 2):
        image = rng.integers(0, 256, (100, 200, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f"{image_id}.png"), image)
        images.append({"id": image_id, "file_name": f"{image_id}.png", "height": 100, "width": 200})
        for category, (x, y, side) in ((1, (20, 20, 20)), (2, (60, 10, 6)), (2, (100, 20, 60))):
            polygon = [x, y, x + side, y, x + side, y + side, x, y + side]
            items.append(
                {"id": len(items) + 1, "image_id": image_id, "category_id": category, "iscrowd": 0}
                | {"bbox": [x, y, side, side], "area": side * side, "segmentation": [polygon]}
            )
    categories = [{"id": 1, "name": "dog"}, {"id": 2, "name": "cat"}]
    (folder / "instances.json").write_text(
        json.dumps({"images": images, "annotations": items, "categories": categories})
    )
    return folder


def bank_of(photographs) -> dict:
    return {"type": "coco", "annotations": str(photographs / "instances.json"), "images": str(photographs)}


def test_the_default_layout_keeps_the_sizes_of_cut_outs(photographs, bank_config, tmp_path):
    cut_outs = build_bank(bank_of(photographs))
    assert default_layout(cut_outs, 1.5) == SourceSizeLayout(counts=(1, 10), crowded="fewer")
    other = build_bank(bank_config)
    assert default_layout(other, None) == StructuredLayout(counts=(1, 10), max_enlargement=None, crowded="fewer")
    both = build_bank({"type": "mix", "banks": [bank_config, bank_of(photographs)]})
    assert isinstance(default_layout(both, 1.5), StructuredLayout)
    records = read_annotated(photographs / "instances.json", photographs)
    build_index(records, tmp_path / "bank.arrow", progress=False)
    assert isinstance(
        default_layout(build_bank({"type": "index", "path": str(tmp_path / "bank.arrow")}), 1.5), SourceSizeLayout
    )


def test_pasted_cut_outs_keep_their_share_of_the_image(photographs):
    """Squares of 6, 20 and 60 of 100x200 in an image of 90x110: scaled by 0.55, times 0.5 to 1.5, one pixel aside."""
    paste = build(bank_of(photographs), layout=None)
    sides = []
    for seed in range(60):
        sample = random_sample(seed, 0)
        boxes = boxes_of(paste(sample))
        sides += (boxes[:, 2:] - boxes[:, :2]).max(axis=1).tolist()
    sides = np.array(sides) / 0.55
    assert len(sides) > 60, "less than one object an image was pasted"
    allowed = [(0.5 * side - 2, 1.5 * side + 4) for side in (6, 20, 60)]
    assert all(any(low <= side <= high for low, high in allowed) for side in sides)
    assert (sides > 45).any()


@pytest.mark.parametrize(
    ("options", "limit"), [({}, 1.5), ({"max_enlargement": 1.0}, 1.0), ({"max_enlargement": 3}, 3.0)]
)
def test_the_limit_holds(photographs, options, limit):
    large = {"large": 1.0, "medium": 0.0, "small": 0.0}
    layout = {"type": "StructuredLayout", "counts": (1, 3), "shares": large, "flip": 0.0}
    bank = {**bank_of(photographs), "include": ["dog"]}
    paste, widest = build(bank, layout=layout, **options), 0
    for seed in range(25):
        boxes = boxes_of(paste(random_sample(seed, 0)))
        widest = max(widest, (boxes[:, 2:] - boxes[:, :2]).max(initial=0))
    # The cut-out has a soft margin of a pixel or two around its 20 pixels.
    assert 20 * limit * 0.85 <= widest <= 24 * limit + 1


def test_the_layouts_own_limit_wins(photographs):
    layout = {"type": "RandomLayout", "max_enlargement": 2.5}
    assert build(bank_of(photographs), layout=layout, max_enlargement=1.0).layout.max_enlargement == 2.5
    assert build(bank_of(photographs), layout={"type": "RandomLayout"}).layout.max_enlargement == 1.5
    for value in (0, "1.5"):
        with pytest.raises(ValueError, match="`max_enlargement` must be in"):
            build(bank_of(photographs), max_enlargement=value)


def test_segments_drawn_anew_are_not_of_the_image_itself(photographs, tmp_path):
    """Cats of 6 pixels give way to those of 60, but never to one of the image at hand."""
    records = read_annotated(photographs / "instances.json", photographs)
    build_index(records, tmp_path / "bank.arrow", progress=False)
    source = PasteSource({"type": "index", "path": str(tmp_path / "bank.arrow")}, ("dog", "cat"), "error")
    own = str(photographs / "1.png")
    small = [i for i in range(len(source.bank)) if source.bank.info(i).category == "cat"]
    small = min(small, key=lambda i: (source.bank.info(i).size, source.bank.file(i) == own))
    boxes, found = np.full((1, 2), 60.0), set()
    for seed in range(20):
        rng = np.random.default_rng(seed)
        found.add(source.bank.redraw(rng, [small], boxes, 1.5, lambda index: source.is_foreign(own, index))[0])
    assert all(source.bank.file(index) != own for index in found)
    assert any(max(source.bank.info(index).size) >= 60 for index in found)
