"""The page about a data set: what it holds, and what a browser makes of it."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest

from sos_mm.browse import write_report
from sos_mm.formats.rle import decode_mask
from tests.helpers.commands import run
from tests.helpers.composed import Composed


@pytest.fixture(scope="module")
def composed(tmp_path_factory):
    return Composed(tmp_path_factory.mktemp("composed"))


def data_of(page):
    """What the page's script is given."""
    return json.loads(re.search(r'id="data">(.*?)</script>', page.read_text(encoding="utf-8"), re.DOTALL)[1])


def test_page_holds_the_data_set(composed, tmp_path):
    page = write_report(composed.out, tmp_path / "page", num=5, seed=3)
    data, text = data_of(page), page.read_text(encoding="utf-8")
    assert len(data["samples"]) == 5
    assert sum(row[1] for row in data["classes"]) == sum(len(scene.objects) for scene in composed.scenes)
    assert data["classes"] == sorted(data["classes"], key=lambda row: (-row[1], row[0]))
    for sample in data["samples"]:
        scene = composed.scenes[int(Path(sample["name"]).stem)]
        assert (page.parent / sample["src"]).read_bytes() == (composed.out / "images" / sample["name"]).read_bytes()
        objects = [each for each in sample["objects"] if each["role"] == "object"]
        for index, (told, truth) in enumerate(zip(objects, scene.objects, strict=True)):
            outline = {"size": list(scene.size), "counts": told["counts"]}
            np.testing.assert_array_equal(decode_mask(outline, scene.size, "it"), scene.modal_mask(index))
            assert (told["box"], told["phrase"]) == (list(truth.box), truth.phrase)
            assert (told["visible"], told["segment"]) == (truth.visible_share, truth.segment_id)
    assert not re.search(r'(src|href)="(https?:)?//|url\(|@import|fetch\(', text)


def test_same_seed_same_page(composed, tmp_path):
    pages = [write_report(composed.out, tmp_path / name, num=4, seed=s) for name, s in (("a", 1), ("b", 1), ("c", 2))]
    assert pages[0].read_bytes() == pages[1].read_bytes()
    assert [s["name"] for s in data_of(pages[0])["samples"]] != [s["name"] for s in data_of(pages[2])["samples"]]


def test_words_cannot_break_out_of_the_page(composed, tmp_path):
    evil = "</script><script>alert(1)</script><!--"
    shutil.copytree(composed.out, tmp_path / "<b>out")
    path = tmp_path / "<b>out" / "annotations" / "instances.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    for category in content["categories"]:
        category["name"] += evil
    path.write_text(json.dumps(content))
    page = write_report(tmp_path / "<b>out", tmp_path / "page")
    text = page.read_text(encoding="utf-8")
    assert "alert(1)</script>" not in text
    assert "<b>" not in text.split("<script", 1)[0]
    assert all(row[0].endswith(evil) for row in data_of(page)["classes"])


def test_earlier_page_is_replaced_and_nothing_else(composed, tmp_path):
    write_report(composed.out, tmp_path / "page", num=8)
    page = write_report(composed.out, tmp_path / "page", num=2)
    assert len(list((page.parent / "pictures").iterdir())) == 2
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "index.html").write_text("mine")
    with pytest.raises(FileExistsError, match="notes is not: name another"):
        write_report(composed.out, tmp_path / "notes")
    assert (tmp_path / "notes" / "index.html").read_text() == "mine"


def write_coco(folder, sizes, annotations=(), categories=("thing",)):
    """A COCO data set of grey images of these sizes."""
    (folder / "images").mkdir(parents=True)
    (folder / "annotations").mkdir()
    images = []
    for id, (height, width) in enumerate(sizes):
        cv2.imwrite(str(folder / "images" / f"{id}.png"), np.full((height, width, 3), 90, np.uint8))
        images.append({"id": id, "file_name": f"{id}.png", "height": height, "width": width})
    content = {"images": images, "annotations": list(annotations)}
    content["categories"] = [{"id": id, "name": name} for id, name in enumerate(categories, 1)]
    (folder / "annotations" / "some.json").write_text(json.dumps(content))
    return folder


def test_images_without_objects(tmp_path):
    page = write_report(write_coco(tmp_path / "data", [(20, 30)]), tmp_path / "page")
    assert len(data_of(page)["samples"]) == 1
    assert "There is no object to count." in page.read_text(encoding="utf-8")


def test_large_images_are_reduced(tmp_path):
    folder = write_coco(tmp_path / "data é", [(90, 300), (50, 70)])
    page = write_report(folder, tmp_path / "page", max_side=100)
    large, small = data_of(page)["samples"]
    assert (large["width"], large["height"], large["reduced"]) == (300, 90, [100, 30])
    assert cv2.imread(str(page.parent / large["src"])).shape == (30, 100, 3)
    assert large["original"] == "../data%20%C3%A9/images/0.png"
    assert "reduced" not in small


def test_broken_images(tmp_path):
    folder = write_coco(tmp_path / "data", [(20, 30), (20, 30), (20, 30)])
    (folder / "images" / "1.png").write_bytes(b"")
    cv2.imwrite(str(folder / "images" / "2.png"), np.zeros((30, 20, 3), np.uint8))
    with pytest.raises(ValueError, match=r"1\.png \(0 bytes\) cannot be decoded"):
        write_report(folder, tmp_path / "page")
    assert not list((tmp_path / "page").iterdir())
    page = write_report(folder, tmp_path / "page", broken="skip")
    text = page.read_text(encoding="utf-8")
    assert len(data_of(page)["samples"]) == 1
    assert "2 entries are broken" in text
    assert "2.png must have the 20 x 30 pixels (height, width) that its annotations are for, but has 30 x 20" in text


def test_comparison(composed, tmp_path):
    """The other file's own shares are drawn, and the published ones stay."""
    boxes = [{"id": n, "image_id": 0, "category_id": 1, "bbox": [0, 0, 9, 9], "area": 81} for n in range(3)]
    other = write_coco(tmp_path / "other", [(100, 100)], boxes) / "annotations" / "some.json"
    plain = write_report(composed.out, tmp_path / "a", num=1).read_text(encoding="utf-8")
    text = write_report(composed.out, tmp_path / "b", num=1, compare=other).read_text(encoding="utf-8")
    assert "some.json, small: 100.0%" in text
    assert "compared, 3.00" in text
    assert "some.json" not in plain
    for page in (plain, text):
        assert "COCO, published, small: 41.0%" in page


def test_page_says_what_was_measured(composed, tmp_path):
    """Boxes are larger than masks, phrases are not classes."""
    texts = [
        write_report(composed.out / "annotations" / name, tmp_path / "page", num=1).read_text(encoding="utf-8")
        for name in ("instances.json", "odvg_grounding.jsonl")
    ]
    assert ["Area of masks in pixels" in text for text in texts] == [True, False]
    assert ["Area of boxes" in text for text in texts] == [False, True]
    assert ["<h2>Phrases</h2>" in text for text in texts] == [False, True]


def test_tool(composed, tmp_path):
    rest = ["--out", tmp_path / "page", "--num", "2"]
    done = run(["browse_dataset.py", composed.out, *rest])
    assert (done.code, done.out.strip()) == (0, str(tmp_path / "page" / "index.html")), done
    done = run(["browse_dataset.py", tmp_path / "nowhere", *rest])
    assert done.code == 2
    assert done.err.strip() == f"error: `data` must be a data set, but {tmp_path / 'nowhere'} does not exist."


# --- In a browser ------------------------------------------------------------------------------------------------

NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
browser = pytest.mark.skipif(CHROMIUM is None, reason=f"needs {' or '.join(NAMES)}")


def chromium(folder, *arguments):
    """Runs it from disk, without a network."""
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    command += ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars"]
    command += [f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=60000", *arguments]
    return subprocess.run(command, capture_output=True, text=True).stdout


def answer(page, code):
    """What a script says after the page's own ones: the value that it hands to `say`."""
    tried = page.with_name("tried.html")
    say = "const say = (value) => document.body.append(make('pre', { id: 'said' }, JSON.stringify(value)));"
    tried.write_text(page.read_text(encoding="utf-8") + f"<script>{{ {say}{code} }}</script>", encoding="utf-8")
    dom = chromium(page.parent, "--dump-dom", tried.as_uri())
    found = re.search(r'<pre id="said">(.*?)</pre>', dom, re.DOTALL)
    assert found, dom[-2000:]
    return json.loads(found[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))


@pytest.mark.slow
@browser
def test_masks_are_painted_to_the_pixel(composed, tmp_path):
    page = write_report(composed.out, tmp_path / "page", num=3)
    code = """
    say(data.samples.map((sample) => {
      const map = owners(sample, 1), canvas = document.createElement("canvas");
      paint(canvas, sample, map);
      const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
      return [sample.name, [...map.owner], [...pixels].filter((_, i) => i % 4 === 3)];
    }));"""
    for name, owner, alpha in answer(page, code):
        scene = composed.scenes[int(Path(name).stem)]
        # Regions to ignore follow the objects.
        truth = scene.owner.astype(int)
        for number, region in enumerate(scene.ignored, len(scene.objects) + 1):
            x0, y0, x1, y1 = region.box
            truth[y0:y1, x0:x1][region.mask] = number
        np.testing.assert_array_equal(np.reshape(owner, scene.size), truth)
        np.testing.assert_array_equal(np.reshape(alpha, scene.size) > 0, truth > 0)


@pytest.mark.slow
@browser
def test_screenshot_shows_masks_in_their_place(tmp_path):
    """In the viewer at 100 %, on a grey image, the coloured pixels are those of the mask."""
    rng = np.random.default_rng(0)
    mask = cv2.resize(rng.integers(0, 2, (11, 13), dtype=np.uint8), (301, 203), interpolation=cv2.INTER_NEAREST)
    columns = mask.T.ravel()
    edges = np.flatnonzero(np.diff(columns, prepend=0))
    counts = np.diff(edges, prepend=0, append=columns.size).tolist()
    annotation = {"id": 1, "image_id": 0, "category_id": 1, "bbox": [0, 0, 301, 203], "area": int(mask.sum())}
    annotation["segmentation"] = {"size": [203, 301], "counts": counts}
    page = write_report(write_coco(tmp_path / "data", [(203, 301)], [annotation]), tmp_path / "page")
    tried = page.with_name("tried.html")
    code = '<script>toggle("boxes", false); toggle("words", false);</script>'
    tried.write_text(page.read_text(encoding="utf-8") + code, encoding="utf-8")
    shot = tmp_path / "shot.png"
    chromium(tmp_path, "--window-size=901,700", f"--screenshot={shot}", tried.as_uri() + "#picture-1@1")
    seen = cv2.imread(str(shot)).astype(int)
    part = np.ptp(seen[60:], axis=2) > 20
    rows, columns = np.flatnonzero(part.any(1)), np.flatnonzero(part.any(0))
    truth_rows, truth_columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    top, left = rows[0] - truth_rows[0], columns[0] - truth_columns[0]
    np.testing.assert_array_equal(part[top : top + 203, left : left + 301], mask)
    assert part.sum() == mask.sum()
    # And the image lies exactly below it.
    grey = (seen[60:] == 90).all(axis=2)
    assert grey[top : top + 203, left : left + 301].sum() == grey.sum() == (mask == 0).sum()


@pytest.mark.slow
@browser
def test_switches_hover_and_filter(tmp_path):
    annotation = {"id": 1, "image_id": 0, "category_id": 7, "bbox": [10, 20, 30.5, 40], "area": 900}
    annotation["segmentation"] = [[10, 20, 40, 20, 40, 60, 10, 60]]
    names = [f"name {number}" for number in range(1, 1204)]
    names[6] = 'قطة <b> "猫" 🦇'
    folder = write_coco(tmp_path / "data", [(100, 200)], [annotation], names)
    code = """
    const shown = (selector) => getComputedStyle($(selector)).display !== "none", said = {};
    const press = (key) => document.body.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
    for (const [key, layer] of Object.entries(LAYERS)) {
      press(key);
      said[layer] = [shown(`#samples .${layer}`), $(`input[name=${layer}]`).checked];
      press(key.toUpperCase());
      said[layer].push(shown(`#samples .${layer}`));
      $(`input[name=${layer}]`).click();
      said[layer].push(shown(`#samples .${layer}`));
      $(`input[name=${layer}]`).click();
    }
    const stage = $("#samples .stage");
    const at = (x, y) => {
      const frame = stage.getBoundingClientRect();
      const clientX = frame.left + (x / 200) * frame.width, clientY = frame.top + (y / 100) * frame.height;
      stage.dispatchEvent(new PointerEvent("pointermove", { clientX, clientY }));
      return tip.hidden ? null : tip.innerText;
    };
    said.tips = [at(10.2, 20.2), at(9.5, 20.5), at(40.3, 59.8), at(40.6, 59.8)];
    said.rows = [$("#classes tbody").rows.length];
    for (const text of ["name 120", "nothing", ""]) {
      $("#filter").value = text;
      $("#filter").oninput();
      said.rows.push($("#classes tbody").rows.length);
    }
    $("#classes [data-key=name]").click();
    said.first = [$("#classes tbody tr").innerText];
    $("#classes [data-key=objects]").click();
    said.first.push($("#classes tbody tr td").innerText);
    const until = (met, then) => (met() ? then() : setTimeout(() => until(met, then), 20));
    stage.click();
    until(() => viewer.open, () => {
      said.viewer = large.offsetWidth / large.offsetHeight;
      press("+");
      until(() => location.hash.endsWith("@1") && large.offsetWidth === 200, () => {
        viewer.close();
        until(() => !viewer.open && !location.hash, () => say(said));
      });
    });"""
    said = answer(write_report(folder, tmp_path / "page"), code)
    for layer in ("masks", "boxes", "words"):
        assert said[layer] == [False, False, True, False]
    tips = said["tips"]
    assert tips[0].startswith(names[6])
    assert "box 30.5 \N{MULTIPLICATION SIGN} 40 px, 4.5 % of the image" in tips[0]
    assert tips[1] is None
    # Beside the mask, inside the box.
    assert tips[2] == tips[0]
    assert tips[3] is None
    assert said["rows"] == [1203, 5, 0, 1203]
    assert said["first"][0].startswith("name 1\t0")
    assert said["first"][1] == names[6]
    assert said["viewer"] == 2
