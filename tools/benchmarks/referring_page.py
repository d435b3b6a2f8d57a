"""Makes a page of images with referring expressions for a reader who is not told the targets, and scores the answers.

    python tools/benchmarks/referring_page.py make data/composed=30 coco/instances_val.json,coco/val=30 \
        --out page --key key.json
    python tools/benchmarks/referring_page.py score answers.json --key key.json

The page is a folder with `index.html` and `images`. Each image has a frame with ticks in percent of its width (x, to
the right) and height (y, down); below it are its expressions. The reader writes a JSON object with a list of points for
each expression: `{"1a": [[25, 60]], "1b": [[10, 20], [80, 20]], "1c": []}`. One point lies on each target; an
expression that refers to nothing in the image has an empty list. The key, a separate file, has the targets.

An answer is right if each target has one point and no point lies elsewhere. A point hits a mask widened by 1 % of the
image's longer side, or the box where there is no mask.
"""

import argparse
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path

import cv2
import numpy as np

from sos_mm.atomic import write_atomic
from sos_mm.formats.rle import decode_mask, encode_mask
from sos_mm.referring.annotated_image import AnnotatedImage
from sos_mm.referring.expression import ReferringExpression
from sos_mm.referring.phrasing import Amounts, write
from sos_mm.referring.reading import AnnotatedImages

LONGER_SIDE, MARGIN, TICK = 640, 34, 10
WIDENED = 0.01
HELP = "annotations or the folder of a data set, the folder of its images if it is elsewhere, and how many images"
_STYLE = """body {font: 16px sans-serif; max-width: 720px; margin: 2em auto} img {max-width: 100%}
section {border-top: 1px solid #999; padding: 1em 0} li {margin: .3em 0}"""


def main() -> None:
    """Makes a page, or scores the answers to one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    make = commands.add_parser("make", help="make a page and its key")
    make.add_argument("data", nargs="+", metavar="DATA[,FOLDER]=NUMBER", help=HELP)
    make.add_argument("--out", type=Path, required=True, help="folder of the page")
    make.add_argument("--key", type=Path, required=True, help="file of the key; not in the page's folder")
    make.add_argument("--expressions", type=int, default=3, help="expressions of an image (3)")
    make.add_argument("--seed", type=int, default=0, help="seed of all draws (0)")
    score = commands.add_parser("score", help="compare answers with a key")
    score.add_argument("answers", type=Path, help="the reader's answers")
    score.add_argument("--key", type=Path, required=True, help="the key")
    args = parser.parse_args()
    if args.command == "score":
        print(scored(json.loads(args.answers.read_text()), json.loads(args.key.read_text())))
    else:
        number = make_page(args.data, args.out, args.key, args.expressions, args.seed)
        print(f"{args.out / 'index.html'}: {number} expressions; the key is {args.key}")


def make_page(sources: Sequence[str], out: Path, key: Path, number: int, seed: int) -> int:
    """Writes a page and its key; returns the number of expressions.

    Raises:
        ValueError: If the key is in the page's folder, or a data set has too few images with expressions.
    """
    if out.resolve() in key.resolve().parents:
        raise ValueError(f"`--key` must lie outside of the page's folder, but got {key}.")
    rng = np.random.default_rng(seed)
    items = [item for source in sources for item in drawn(source, number, rng)]
    (out / "images").mkdir(parents=True, exist_ok=True)
    sections, meant = [], {}
    for ordinal, index in enumerate(rng.permutation(len(items)).tolist(), 1):
        image, expressions = items[index]
        named = {f"{ordinal}{chr(ord('a') + letter)}": each for letter, each in enumerate(expressions)}
        write_atomic(out / f"images/{ordinal:03}.png", cv2.imencode(".png", framed(image.image))[1].tobytes())
        sections.append(section(ordinal, named))
        meant |= {name: answer(image, each) for name, each in named.items()}
    page = (
        f'<!DOCTYPE html>\n<html lang="en"><meta charset="utf-8"><title>Referring expressions</title>\n<style>{_STYLE}'
    )
    page += f"</style>\n<h1>What is meant?</h1>\n{''.join(sections)}</html>\n"
    write_atomic(out / "index.html", page.encode())
    write_atomic(key, json.dumps(meant, indent=1).encode())
    return len(meant)


def drawn(source: str, number: int, rng: np.random.Generator) -> Iterator[tuple[AnnotatedImage, list]]:
    """Draws images of a data set, each with some expressions, the first of a single target."""
    images, wanted = open_images(source)
    indices, found = set(rng.permutation(len(images)).tolist()[: 3 * wanted]), 0
    for index, image in images.numbered():
        if index not in indices or found == wanted:
            continue
        chosen = choose(write(image, rng, amounts=Amounts(several=0.2, none=0.2)), number, rng)
        if chosen:
            found += 1
            yield image, chosen
    if found < wanted:
        raise ValueError(f"{source} has expressions for {found} of the {len(indices)} images drawn: ask for fewer.")


def open_images(source: str) -> tuple[AnnotatedImages, int]:
    """Opens a data set as the command line names it; returns its images with their pixels, and the number asked for.

    Raises:
        ValueError: If the text is not of that form.
    """
    data, _, wanted = source.rpartition("=")
    path, _, folder = data.partition(",")
    if not path or not wanted.isdecimal():
        raise ValueError(f"`data` must be such as data/composed=30 or instances.json,images=30, but got {source!r}.")
    return AnnotatedImages(path, folder or None, pixels=True), int(wanted)


def choose(
    expressions: Sequence[ReferringExpression], number: int, rng: np.random.Generator
) -> list[ReferringExpression]:
    """Chooses expressions of an image at random, the first of a single target; none if there is no such."""
    shuffled = [expressions[index] for index in rng.permutation(len(expressions)).tolist()]
    first = next((each for each in shuffled if len(each.targets) == 1), None)
    return [] if first is None else [first, *(each for each in shuffled if each is not first)][:number]


def framed(image: np.ndarray) -> np.ndarray:
    """Returns an RGB image enlarged or reduced, in BGR, with a frame of ticks in percent."""
    height, width = image.shape[:2]
    scale = LONGER_SIDE / max(height, width)
    size = round(width * scale), round(height * scale)
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    inner = cv2.resize(cv2.cvtColor(image, cv2.COLOR_RGB2BGR), size, interpolation=way)
    page = cv2.copyMakeBorder(inner, MARGIN, MARGIN, MARGIN, MARGIN, cv2.BORDER_CONSTANT, value=(255, 255, 255))
    right, bottom = MARGIN + size[0], MARGIN + size[1]
    for percent in range(0, 101, TICK):
        x, y = MARGIN + size[0] * percent // 100, MARGIN + size[1] * percent // 100
        for edge in (MARGIN - 6, bottom):
            cv2.line(page, (x, edge), (x, edge + 6), (0, 0, 0), 1)
        for edge in (MARGIN - 6, right):
            cv2.line(page, (edge, y), (edge + 6, y), (0, 0, 0), 1)
        for corner in ((x - 9, MARGIN - 10), (x - 9, bottom + 20), (4, y + 4), (right + 9, y + 4)):
            cv2.putText(page, str(percent), corner, cv2.FONT_HERSHEY_SIMPLEX, 0.38, (0, 0, 0), 1, cv2.LINE_AA)
    return page


def section(ordinal: int, expressions: Mapping[str, ReferringExpression]) -> str:
    """Returns the HTML of an image."""
    lines = "".join(f"<li><b>{name}</b> {escape(each.text)}</li>" for name, each in expressions.items())
    return f'<section><h2>{ordinal}</h2>\n<img src="images/{ordinal:03}.png" alt="">\n<ul>{lines}</ul></section>\n'


def answer(image: AnnotatedImage, expression: ReferringExpression) -> dict:
    """Returns the entry of the key for an expression; a mask is run lengths at the size of the image."""
    size = image.height, image.width
    targets = []
    for each in (image.instances[target] for target in expression.targets):
        mask = None if each.mask is None else encode_mask(each.mask, each.offset, size)
        targets.append({"category": each.category, "box": list(each.box), "mask": mask})
    said = {"text": expression.text, "kind": expression.kind, "near": expression.near, "changed": expression.changed}
    return said | {"file_name": image.file_name, "size": size, "targets": targets}


def scored(answers: Mapping[str, list], key: Mapping[str, dict]) -> str:
    """Compares answers with a key.

    Returns:
        Counts of right answers, in all, of the first expression of each image, and by kind; then what was wrong.

    Raises:
        ValueError: If an answer is missing, unknown, or no list of points in percent.
    """
    if answers.keys() != key.keys():
        raise ValueError(f"Answers and key differ in {sorted(answers.keys() ^ key.keys())}.")
    right, total, wrong = Counter[str](), Counter[str](), []
    for name, meant in key.items():
        correct = is_right(name, answers[name], meant)
        number = ("no target", "one target")[len(meant["targets"])] if len(meant["targets"]) < 2 else "several targets"
        for group in ("all", number, meant["kind"], *(["the first of its image"] if name.endswith("a") else [])):
            total[group] += 1
            right[group] += correct
        if not correct:
            boxes = [_percent(each["box"], meant["size"]) for each in meant["targets"]]
            wrong.append(f"{name} {meant['text']!r} means {boxes or 'nothing'}, but got {answers[name]}")
    return "\n".join([*(f"{group}: {right[group]} of {total[group]}" for group in total), *wrong])


def is_right(name: str, points: Sequence[Sequence[float]], meant: Mapping) -> bool:
    """Whether each target has one of the points, in percent, and no point lies elsewhere.

    Raises:
        ValueError: If the points are no pairs of numbers in [0, 100].
    """
    for point in points:
        if len(point) != 2 or not all(0 <= value <= 100 for value in point):
            raise ValueError(f"The answer {name} must be a list of points [x, y] in percent, but is {points}.")
    if len(points) != len(meant["targets"]):
        return False
    hits = [[_hits(point, target, meant["size"]) for target in meant["targets"]] for point in points]
    return _matched(hits)


def _matched(hits: list[list[bool]]) -> bool:
    """Whether points and targets can be paired."""
    if not hits:
        return True
    first, *rest = hits
    return any(
        hit and _matched([[*row[:column], *row[column + 1 :]] for row in rest]) for column, hit in enumerate(first)
    )


def _hits(point: Sequence[float], target: Mapping, size: Sequence[int]) -> bool:
    height, width = size
    x, y = min(point[0] * width / 100, width - 1), min(point[1] * height / 100, height - 1)
    if target["mask"] is None:
        x0, y0, x1, y1 = target["box"]
        return x0 <= x < x1 and y0 <= y < y1
    mask = decode_mask(target["mask"], (height, width), "a mask of the key").astype(np.uint8)
    radius = max(round(WIDENED * max(size)), 1)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    return bool(cv2.dilate(mask, kernel)[int(y), int(x)])


def _percent(box: Sequence[float], size: Sequence[int]) -> list[int]:
    return [round(100 * side / size[index % 2 == 0]) for index, side in enumerate(box)]


if __name__ == "__main__":
    main()
