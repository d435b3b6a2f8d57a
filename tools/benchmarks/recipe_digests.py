"""Prints a digest of what each shipped recipe composes, to compare two versions of the code byte by byte.

    python tools/benchmarks/recipe_digests.py > after.txt
    git worktree add ../before COMMIT
    python tools/benchmarks/recipe_digests.py ../before > before.txt
    diff before.txt after.txt

Segments are the bundled ones and backgrounds are procedural wherever a recipe names files of its user. The manifest is
left out, since it holds the recipe's text; all other files count, with their names. Recipes that need weights of
IC-Light are named and left out.
"""

import argparse
import hashlib
import json
import os
import sys
import tempfile
from pathlib import Path


def main() -> None:
    """Prints a line a recipe."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("repository", type=Path, nargs="?", default=Path(__file__).resolve().parents[2])
    parser.add_argument("--num", type=int, default=20, help="images of each recipe (default 20)")
    args = parser.parse_args()
    # The code and the recipes of one version, whatever is installed.
    sys.path.insert(0, str(args.repository.resolve()))
    folder = args.repository.resolve() / "configs/synthesis"
    for path in sorted(folder.rglob("*.py")):
        with tempfile.TemporaryDirectory() as scratch:
            # Some options name files, and their names stand in what is written.
            os.chdir(scratch)
            print(path.relative_to(folder), digest(path, args.num), flush=True)


def digest(path: Path, num: int) -> str:
    """Composes images of a recipe in the current folder; returns one SHA-256 of all files, or why there is none."""
    from sos_mm.synthesis import Recipe, synthesize

    recipe = stand_in(path)
    if "ICLightRelighter" in str(recipe["effects"]):
        return "left out: it needs weights"
    synthesize(Recipe.from_dict(recipe), "out", num, progress=False)
    total = hashlib.sha256()
    for file in sorted(Path("out").rglob("*")):
        if file.is_file() and file.name != "manifest.json":
            total.update(f"{file.relative_to('out')} {hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()


def stand_in(path: Path) -> dict:
    """Returns a recipe whose sources are the bundled ones."""
    from sos_mm.segments import SegmentBank
    from sos_mm.synthesis import load_recipe

    boxes = [{"image_id": 1, "bbox": [10 * i, 10, 10, 20], "category_id": 1} for i in range(6)]
    coco = {"images": [{"id": 1, "width": 100, "height": 100}], "annotations": boxes, "categories": []}
    Path("instances.json").write_text(json.dumps(coco))
    options = {"layout.annotations": "instances.json"} if path.name == "layout_coco.py" else None
    recipe = load_recipe(path, options).to_dict()
    segments = {"type": "sample"}
    if recipe["segments"].get("vocabulary") == "coco":
        segments["vocabulary"] = "coco"
    if path.name == "lvis_rare.py":
        names = enumerate(SegmentBank.sample_bank("train").categories, 1)
        entries = [{"id": 7 * position, "name": name, "image_count": position} for position, name in names]
        Path("lvis.json").write_text(json.dumps({"images": [{}] * 5000, "categories": entries}))
        recipe["vocabulary"] = "lvis.json"
        segments |= {"vocabulary": "lvis.json", "category_weights": {"annotations": "lvis.json"}}
    if recipe["segments"]["type"] == "mix":
        groups = ["train", "held_out", "all"][: len(recipe["segments"]["banks"])]
        segments |= {"type": "mix", "banks": [{"type": "sample", "group": group} for group in groups]}
    return recipe | {"segments": segments, "backgrounds": {"type": "texture"}}


if __name__ == "__main__":
    main()
