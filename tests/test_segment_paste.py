"""SegmentPaste: after it, image and annotations agree, by brute force, for every kind of annotation."""

import pickle

import cv2
import numpy as np
import pytest

pytest.importorskip("mmcv")
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.registry import TRANSFORMS

from sos_mm.augmentation import SegmentPaste
from sos_mm.augmentation.captions import append_phrase, estimated_tokens
from sos_mm.augmentation.class_table import class_names, find_labels, names_of_labels
from sos_mm.augmentation.paste_source import PasteSource
from sos_mm.composition.outlines import outlines
from sos_mm.visits import Draws, VisitedIndex

SIZE = (90, 110)
CLASSES = ("dog", "cat", "apple")
LAYOUT = {
    "type": "StructuredLayout",
    "counts": (1, 5),
    "shares": {"large": 0.6, "medium": 0.4, "small": 0.0},
    "areas": {"large": (0.1, 0.4), "medium": (0.03, 0.1), "small": (0.01, 0.03)},
    "crowded": "fewer",
}


@pytest.fixture
def bank_config(release):
    root, metadata = map(str, release)
    return {"type": "release", "root": root, "metadata": metadata}


def build(bank_config, **options) -> SegmentPaste:
    given = {"classes": CLASSES, "prob": 1.0, "layout": LAYOUT, **options}
    paste = TRANSFORMS.build(dict(type="sos_mm.SegmentPaste", bank=bank_config, **given))
    paste.draws = Draws(0)
    return paste


def random_sample(seed: int, number: int | None = None) -> dict:
    """An image with ellipses, and their true masks, boxes and labels."""
    rng = np.random.default_rng(seed)
    image = cv2.resize(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8), SIZE[::-1], interpolation=cv2.INTER_CUBIC)
    masks = np.zeros((rng.integers(0, 5) if number is None else number, *SIZE), np.uint8)
    for mask in masks:
        center, axes = rng.integers(10, min(SIZE) - 10, 2), rng.integers(2, 25, 2)
        cv2.ellipse(mask, center.tolist(), axes.tolist(), float(rng.uniform(0, 180)), 0, 360, 1, -1)
    boxes = np.array([tight(mask) for mask in masks], np.float32).reshape(-1, 4)
    return {
        "img": image,
        "img_path": f"folder/{seed}.jpg",
        "sample_idx": seed,
        "gt_bboxes": boxes,
        "gt_bboxes_labels": rng.integers(0, len(CLASSES), len(masks)),
        "gt_ignore_flags": rng.random(len(masks)) < 0.2,
        "masks": masks,
    }


def tight(mask) -> tuple[int, int, int, int]:
    rows, columns = np.nonzero(mask)
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


def expected_masks(sample: dict, cover: np.ndarray, rules=(0.5, 16)) -> tuple[list[int], list[np.ndarray]]:
    """Which old objects stay, and what is left of them, pixel by pixel."""
    kept, left = [], []
    for place, mask in enumerate(sample["masks"]):
        rest = mask.astype(bool) & ~cover
        if rest.sum() == mask.sum() or (rest.sum() >= rules[0] * mask.sum() and rest.sum() >= rules[1]):
            kept.append(place)
            left.append(rest)
    return kept, left


def cover_of(paste, results: dict) -> np.ndarray:
    """Where something was pasted, from what the transform says of the image: a saliency map that it fills."""
    return results["gt_saliency"] > 0


def boxes_of(results: dict) -> np.ndarray:
    boxes = results["gt_bboxes"]
    return boxes if isinstance(boxes, np.ndarray) else boxes.tensor.numpy()


@settings(max_examples=500, deadline=None)
@given(seed=st.integers(0, 10**6))
def check_bitmaps(wrap, unwrap, paste, seed):
    sample = random_sample(seed)
    masks = sample.pop("masks")
    given_sample = {**sample, "gt_masks": wrap(masks), "gt_saliency": np.zeros(SIZE, np.float32)}
    frozen = pickle.dumps(given_sample)
    results = paste(dict(given_sample))
    assert pickle.dumps(given_sample) == frozen
    sample["masks"] = masks
    cover = cover_of(paste, results)
    kept, left = expected_masks(sample, cover)
    found = unwrap(results["gt_masks"])
    new = found[len(kept) :]
    assert len(found) == len(results["gt_bboxes_labels"]) == len(results["gt_ignore_flags"]) == len(boxes_of(results))
    assert found.shape[1:] == SIZE
    for place, rest, mask, box in zip(kept, left, found, boxes_of(results), strict=False):
        np.testing.assert_array_equal(mask > 0, rest)
        untouched = rest.sum() == masks[place].sum()
        np.testing.assert_array_equal(box, sample["gt_bboxes"][place] if untouched else tight(rest))
    # The new ones share no pixel, and are all that was pasted.
    np.testing.assert_array_equal(new.astype(int).sum(axis=0), cover.astype(int))
    for mask, box in zip(new, boxes_of(results)[len(kept) :], strict=True):
        np.testing.assert_array_equal(box, tight(mask))
    np.testing.assert_array_equal(results["gt_bboxes_labels"][: len(kept)], sample["gt_bboxes_labels"][kept])
    np.testing.assert_array_equal(results["gt_ignore_flags"][: len(kept)], sample["gt_ignore_flags"][kept])
    assert not results["gt_ignore_flags"][len(kept) :].any()
    # Beyond the objects' soft edges the image is what it was.
    far = cv2.dilate(cover.astype(np.uint8), np.ones((9, 9), np.uint8)) == 0
    np.testing.assert_array_equal(results["img"][far], sample["img"][far])
    assert results["img"].dtype == np.uint8


class Bitmaps:
    """What mmdet's `BitmapMasks` is, where mmdet cannot be imported."""

    def __init__(self, masks, height, width):
        self.masks, self.height, self.width = masks, height, width

    def __len__(self):
        return len(self.masks)


Bitmaps.__name__ = Bitmaps.__qualname__ = "BitmapMasks"
BitmapMasks = Bitmaps


def test_bitmaps(bank_config):
    paste = build(bank_config)
    check_bitmaps(lambda masks: Bitmaps(masks, *SIZE), lambda found: found.masks, paste)


def test_mmdet_bitmaps(bank_config):
    structures = pytest.importorskip("mmdet.structures.mask", exc_type=ImportError)
    wrap = structures.BitmapMasks
    check_bitmaps(lambda masks: wrap(masks, *SIZE), lambda found: found.masks, build(bank_config))


def test_mmdet_polygons(bank_config):
    structures = pytest.importorskip("mmdet.structures.mask", exc_type=ImportError)

    def wrap(masks):
        return structures.PolygonMasks([outlines(mask) for mask in masks], *SIZE)

    check_bitmaps(wrap, lambda found: found.to_ndarray(), build(bank_config))


def test_mmdet_boxes(bank_config):
    boxes = pytest.importorskip("mmdet.structures.bbox", exc_type=ImportError)
    paste = build(bank_config)
    for seed in range(50):
        sample = random_sample(seed)
        del sample["masks"]
        given_boxes = boxes.HorizontalBoxes(torch.from_numpy(sample["gt_bboxes"].copy()))
        results = paste({**sample, "gt_bboxes": given_boxes})
        plain = paste(dict(sample))
        assert type(results["gt_bboxes"]) is boxes.HorizontalBoxes
        assert results["gt_bboxes"].tensor.dtype == torch.float32
        np.testing.assert_array_equal(results["gt_bboxes"].tensor.numpy(), plain["gt_bboxes"])
        np.testing.assert_array_equal(given_boxes.tensor.numpy(), sample["gt_bboxes"])
    with pytest.raises(ValueError, match="`gt_bboxes` must be HorizontalBoxes"):
        paste({**random_sample(1), "gt_bboxes": [[0, 0, 5, 5]]})


def test_boxes_alone(bank_config):
    """Judged by the pixels of the box; boxes that stay are not touched."""
    paste = build(bank_config)
    dropped = 0
    for seed in range(500):
        sample = random_sample(seed)
        del sample["masks"]
        results = paste({**sample, "gt_saliency": np.zeros(SIZE, np.float32)})
        cover = cover_of(paste, results)
        expected = []
        for place, (x0, y0, x1, y1) in enumerate(sample["gt_bboxes"].astype(int)):
            area, hidden = (x1 - x0) * (y1 - y0), cover[y0:y1, x0:x1].sum()
            if hidden == 0 or (area - hidden >= 0.5 * area and area - hidden >= 16):
                expected.append(place)
        dropped += len(sample["gt_bboxes"]) - len(expected)
        np.testing.assert_array_equal(results["gt_bboxes"][: len(expected)], sample["gt_bboxes"][expected])
        assert len(results["gt_bboxes"]) == len(results["gt_bboxes_labels"])
        for box in results["gt_bboxes"][len(expected) :].astype(int):
            assert cover[box[1] : box[3], box[0] : box[2]].any(axis=0).all()
            assert cover[box[1] : box[3], box[0] : box[2]].any(axis=1).all()
    assert dropped > 20


@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
def test_maps(bank_config, dtype):
    """Label maps and saliency: pasted pixels get the new value, all others keep theirs, and the type stays."""
    paste = build(bank_config, saliency=0.0)
    for seed in range(500):
        rng = np.random.default_rng(seed)
        sample = random_sample(seed, 0)
        labels = rng.integers(0, 200, SIZE).astype(dtype)
        saliency = np.full(SIZE, 0.5, np.float32)
        results = paste(
            {**sample, "gt_seg_map": labels, "gt_saliency": saliency, "gt_masks": Bitmaps(sample.pop("masks"), *SIZE)}
        )
        assert results["gt_seg_map"].dtype == dtype
        assert results["gt_saliency"].dtype == np.float32
        cover = results["gt_saliency"] == 0
        np.testing.assert_array_equal(results["gt_seg_map"][~cover], labels[~cover])
        assert (results["gt_saliency"][~cover] == 0.5).all()
        for mask, label in zip(results["gt_masks"].masks, results["gt_bboxes_labels"], strict=True):
            assert (results["gt_seg_map"][mask > 0] == label).all()
            assert label in (0, 2)
    with pytest.raises(ValueError, match="`gt_seg_map` must be of the image's shape"):
        paste({**random_sample(1), "gt_seg_map": np.zeros((5, 5), np.uint8)})
    many = build(bank_config, classes=[*map(str, range(300)), "dog", "apple"])
    with pytest.raises(ValueError, match="must hold labels up to 30"):
        many({"img": sample["img"], "gt_seg_map": np.zeros(SIZE, np.uint8)})


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_float_images_keep_their_values_elsewhere(bank_config, dtype):
    paste = build(bank_config)
    image = np.random.default_rng(0).uniform(0, 255, (*SIZE, 3)).astype(dtype)
    results = paste({"img": image, "img_path": "a.jpg", "gt_saliency": np.zeros(SIZE, np.float32)})
    assert results["img"].dtype == dtype
    far = cv2.dilate((results["gt_saliency"] > 0).astype(np.uint8), np.ones((9, 9), np.uint8)) == 0
    np.testing.assert_array_equal(results["img"][far], image[far])
    whole = paste({"img": np.rint(image).astype(np.uint8), "img_path": "a.jpg"})["img"]
    inside = results["gt_saliency"] > 0
    assert np.abs(whole[inside] - results["img"][inside]).max() <= 0.5


def test_channel_order(bank_config):
    image = random_sample(0)["img"]
    bgr = build(bank_config)({"img": image, "img_path": "a"})["img"]
    rgb = build(bank_config, channel_order="rgb")({"img": image[..., ::-1], "img_path": "a"})["img"]
    np.testing.assert_array_equal(bgr, rgb[..., ::-1])


def grounding(seed=0, text="A cat on a lawn", phrase="A cat") -> dict:
    sample = random_sample(seed, 1)
    del sample["masks"]
    start = text.index(phrase)
    phrases = {0: {"phrase": phrase, "tokens_positive": [[start, start + len(phrase)]]}}
    return {**sample, "gt_bboxes_labels": np.array([0]), "text": text, "phrases": phrases}


def test_captions(bank_config):
    """Every span gives back its phrase, every label has one, and what stood there stands."""
    paste = build(bank_config, classes=None)
    seen = set()
    for seed in range(500):
        sample = grounding(seed)
        results = paste(dict(sample))
        assert results["text"].startswith("A cat on a lawn")
        assert set(results["gt_bboxes_labels"]) <= set(results["phrases"])
        for entry in results["phrases"].values():
            for start, end in entry["tokens_positive"]:
                assert results["text"][start:end] == entry["phrase"]
        seen |= {entry["phrase"] for entry in results["phrases"].values()}
        assert sample["text"] == "A cat on a lawn"
        assert list(sample["phrases"]) == [0]
    assert seen == {"A cat", "a red apple", "a green apple", "a small dog"}


def test_a_phrase_that_is_there_stands_for_the_new_object_too(bank_config):
    results = build({**bank_config, "vocabulary": ["dog"]}, classes=None)(
        grounding(text="a small dog.", phrase="a small dog")
    )
    assert results["text"] == "a small dog."
    assert len(results["gt_bboxes"]) > 1
    assert set(results["gt_bboxes_labels"]) == {0}


def test_captions_stay_short(bank_config):
    text = "A cat " * 40
    paste = build(bank_config, classes=None, max_tokens=estimated_tokens(text) + 4)
    results = paste(grounding(text=text))
    assert len(results["phrases"]) <= 2
    assert estimated_tokens(results["text"]) <= estimated_tokens(text) + 5
    assert build(bank_config, classes=None, max_tokens=1)(grounding())["text"] == "A cat on a lawn"
    assert append_phrase("", "a dog") == ("a dog.", (0, 5))
    assert append_phrase("Two. ", "a dog") == ("Two. a dog.", (5, 10))


def test_label_maps_of_grounding_data(bank_config):
    """Detection data of ODVG name their classes themselves; unknown ones are refused or added to the map."""
    text = {"0": "cat", "1": "Dog"}
    sample = {**grounding(), "text": text}
    del sample["phrases"]
    with pytest.raises(ValueError, match="'apple', which the data set's classes do not name"):
        build(bank_config, classes=None)(dict(sample))
    found = set()
    for seed in range(20):
        results = build(bank_config, classes=None, unknown="append")({**sample, "img_path": f"{seed}"})
        labels = set(results["gt_bboxes_labels"].tolist())
        found |= labels
        assert labels <= set(map(int, results["text"]))
        assert (2 in labels) == (results["text"].get("2") == "apple")
    assert found == {0, 1, 2}
    assert text == {"0": "cat", "1": "Dog"}
    with pytest.raises(ValueError, match="lacks '1'"):
        names_of_labels({"0": "cat", "2": "dog"})


def test_classes():
    assert class_names("coco")[:2] == ("person", "bicycle")
    assert class_names("coco")[79] == "toothbrush"
    assert find_labels(["Cell_Phone", "dog"], ["dog", "cell phone"]) == {"Cell_Phone": 1, "dog": 0}
    assert find_labels(["b", "a", "dog"], ["dog"], "append") == {"a": 1, "b": 2, "dog": 0}
    assert find_labels(["b", "dog"], ["dog"], "skip") == {"dog": 0}
    with pytest.raises(ValueError, match="nearest to 'dogg' is 'dog'"):
        find_labels(["dogg"], ["dog"])
    with pytest.raises(ValueError, match="no category of the bank is a class"):
        find_labels(["b"], ["dog"], "skip")


def test_unknown_categories(bank_config):
    with pytest.raises(ValueError, match=r"unknown='skip'"):
        build(bank_config, classes=["dog"])(random_sample(0))
    paste = build(bank_config, classes=["dog"], unknown="skip")
    for seed in range(10):
        sample = random_sample(seed, 0)
        assert set(paste({**sample, "gt_bboxes_labels": np.zeros(0, np.int64)})["gt_bboxes_labels"]) == {0}
    with pytest.raises(ValueError, match="`classes` must name"):
        build(bank_config, classes=None)(random_sample(0))


def test_draws_depend_on_image_and_epoch_alone(bank_config):
    first, second = build(bank_config), build(bank_config)
    second(random_sample(0))
    second.draws = None
    # As a worker that is not forked gets it.
    second = pickle.loads(pickle.dumps(second))
    second.draws = first.draws
    samples = [random_sample(seed) for seed in range(6)]
    one = {sample["img_path"]: first(dict(sample))["img"] for sample in samples}
    other = {sample["img_path"]: second(dict(sample))["img"] for sample in reversed(samples)}
    assert all((one[name] == other[name]).all() for name in one)
    first.draws.epoch = 1
    later = {sample["img_path"]: first(dict(sample))["img"] for sample in samples}
    assert not any((one[name] == later[name]).all() for name in one)
    # A sampler that counts visits is believed, whatever the epoch.
    visited = first({**samples[0], "sample_idx": VisitedIndex(0, 0)})["img"]
    np.testing.assert_array_equal(visited, one[samples[0]["img_path"]])


def test_without_a_hook_the_worker_seeds(bank_config, caplog):
    paste = build(bank_config)
    paste.draws = None
    sample = random_sample(0)
    torch.manual_seed(1)
    one = paste(dict(sample))["img"]
    other = paste(dict(sample))["img"]
    torch.manual_seed(1)
    np.testing.assert_array_equal(paste(dict(sample))["img"], one)
    assert (one != other).any()


def test_epochs(bank_config):
    paste = build(bank_config, prob=1.0, start_epoch=2, warmup_epochs=3, stop_epoch=8)
    shares = []
    for epoch in range(10):
        paste.draws.epoch = epoch
        samples = [random_sample(seed) for seed in range(80)]
        shares.append(np.mean([paste(sample) is not sample for sample in samples]))
    assert shares[:2] == [0, 0]
    assert shares[8:] == [0, 0]
    np.testing.assert_allclose(shares[2:6], [0.25, 0.5, 0.75, 1], atol=0.17)
    paste.draws = None
    with pytest.raises(RuntimeError, match="VisitHook"):
        paste(random_sample(0))


def test_probability(bank_config):
    paste = build(bank_config, prob=0.3)
    assert 0.2 < np.mean([paste(sample) is not sample for sample in map(random_sample, range(200))]) < 0.4
    sample = random_sample(0)
    assert build(bank_config, prob=0)(sample) is sample


def test_samples_that_cannot_hold_an_object_are_handed_on(bank_config):
    small = {"img": np.zeros((2, 2, 3), np.uint8), "img_path": "a.jpg", "gt_saliency": np.zeros((2, 2), np.float32)}
    results = build(bank_config)(small)
    assert not results["gt_saliency"].any()


def test_everything_covered(bank_config):
    """All old objects may go; empty annotations keep their shapes and types."""
    layout = {**LAYOUT, "counts": (1, 1), "areas": {**LAYOUT["areas"], "large": (0.9, 1.0)}, "aspect": (1.0, 1.3)}
    layout["shares"] = {"large": 1.0, "medium": 0.0, "small": 0.0}
    paste = build(bank_config, layout=layout)
    mask = np.zeros((1, *SIZE), np.uint8)
    mask[0, 40:50, 50:60] = 1
    for seed in range(20):
        sample = random_sample(seed, 0)
        sample.update(gt_bboxes=np.array([[50, 40, 60, 50]], np.float32), gt_bboxes_labels=np.array([1]))
        sample.update(gt_masks=Bitmaps(mask, *SIZE), gt_ignore_flags=np.array([True]))
        del sample["masks"]
        results = paste(sample)
        if len(results["gt_bboxes"]) == 1:
            assert results["gt_masks"].masks.shape == (1, *SIZE)
            assert results["gt_ignore_flags"].tolist() == [False]
            return
    raise AssertionError("nothing was covered")


def test_objects_of_the_image_itself_are_not_pasted(release):
    root, metadata = map(str, release)
    source = PasteSource({"type": "release", "root": root, "metadata": metadata}, None, "error")
    paths = [str(record.path) for record in source.bank.records]
    rng = np.random.default_rng(0)
    for path in paths:
        ids = {segment.source_id for _ in range(20) for segment in source.draw(rng, 4, "category", path)}
        own = [record.source_id for record in source.bank.records if str(record.path) == path]
        assert ids
        assert not ids & set(own)
    single = PasteSource(
        {"type": "release", "root": root, "metadata": metadata, "attributes": ["green"]}, None, "error"
    )
    assert single.draw(rng, 3, "category", str(single.bank.records[0].path)) == []


def test_missing_masks_are_told(bank_config):
    sample = random_sample(0)
    del sample["masks"]
    with pytest.raises(ValueError, match="`gt_masks` must be in the sample"):
        build(bank_config, with_mask=True)(sample)
    wrong = Bitmaps(np.zeros((1, 5, 5), np.uint8), 5, 5)
    with pytest.raises(ValueError, match="resize them together"):
        build(bank_config)({**random_sample(3, 1), "gt_masks": wrong})
    with pytest.raises(ValueError, match="must be BitmapMasks or PolygonMasks, but got list"):
        build(bank_config)({**random_sample(3, 1), "gt_masks": []})


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"prob": 2}, "`prob` must be in"),
        ({"unknown": "skipp"}, "Did you mean 'skip'"),
        ({"layout": {"type": "StructuredLayuot"}}, "Did you mean 'StructuredLayout'"),
        ({"light": "dark"}, "`light`"),
        ({"start_epoch": 5, "stop_epoch": 2}, "`stop_epoch`"),
        ({"min_area": 0}, "`min_area`"),
        ({"channel_order": "gbr"}, "`channel_order`"),
        ({"sampling": "rare"}, "`sampling`"),
    ],
)
def test_arguments_are_checked(bank_config, options, match):
    with pytest.raises(ValueError, match=match):
        build(bank_config, **options)
    with pytest.raises(ValueError, match="must be described by a dict"):
        build("sample")


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 40), st.integers(1, 40))
def test_outlines_give_the_pixels_back(seed, height, width):
    mask_tools = pytest.importorskip("pycocotools.mask")
    rng = np.random.default_rng(seed)
    noise = cv2.GaussianBlur(rng.random((height, width), np.float32), (0, 0), float(rng.uniform(0.2, 3)))
    mask = noise > np.quantile(noise, rng.uniform(0.1, 0.95))
    polygons = [polygon.tolist() for polygon in outlines(mask)]
    if not mask.any():
        assert not polygons
        return
    decoded = mask_tools.decode(mask_tools.merge(mask_tools.frPyObjects(polygons, height, width)))
    np.testing.assert_array_equal(decoded > 0, mask)
