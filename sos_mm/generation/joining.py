"""Joins the shards of drawn segments to a bank in the release layout, with the provenance of each image."""

import json
import shutil
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sos_mm.atomic import atomic_path, remove_work, write_atomic
from sos_mm.compat import installed_version
from sos_mm.formats.json_writer import readable_json
from sos_mm.generation.filters import REASONS, UNREADABLE, duplicate_positions
from sos_mm.generation.prompts import DrawingPrompt
from sos_mm.generation.recipe import BankRecipe
from sos_mm.generation.shards import MANIFEST, OWN, WORK, begin, is_intact, locked, move, read_records, shard_folder

# Increased whenever the bytes of a bank for a given recipe and seed change.
FORMAT = 2
SEGMENTS, METADATA, PROVENANCE = "segments", "metadata.json", "provenance.jsonl"
_LIBRARIES = ("torch", "diffusers", "transformers", "numpy", "opencv-python")


def identity_of(recipe: BankRecipe, seed: int) -> dict[str, Any]:
    """Returns what identifies a bank, as JSON values."""
    return {"format": FORMAT, "recipe_sha256": recipe.sha256, "seed": seed}


def join_shards(
    out: Path,
    number: int,
    recipe: BankRecipe,
    seed: int,
    sources: Mapping[str, Any],
    prompts: Sequence[DrawingPrompt],
) -> dict[str, Any] | None:
    """Joins the shards to the bank if all are there and intact, and returns its manifest; else returns None.

    May be interrupted at any point and repeated.
    """
    if not (out / WORK).exists():
        return begin(out, identity_of(recipe, seed))
    with locked(out, "join"):
        if (out / MANIFEST).exists():
            return begin(out, identity_of(recipe, seed))
        if not all(shard_folder(out, shard).exists() and _is_intact(out, shard) for shard in range(number)):
            return None
        repeated = _near_duplicates(out, number, recipe.build_filters().duplicates)
        words: dict[str, dict[str, Any]] = {}
        kept: Counter[str] = Counter()
        rejected: Counter[str] = Counter()
        with atomic_path(out / PROVENANCE) as part, open(part, "w", encoding="utf-8") as file:
            for shard in range(number):
                for record in read_records(out, shard):
                    told = _place(out, shard, record, record["id"] in repeated, recipe.keep_rejected)
                    file.write(json.dumps(told, ensure_ascii=False) + "\n")
                    if told["reasons"]:
                        rejected[told["reasons"][0]] += 1
                        continue
                    kept[told["category"]] += 1
                    words.setdefault(record["folder"].replace("/", "_", 1), _words(record))
        write_atomic(out / METADATA, readable_json(words, ascii_only=False))
        categories = dict.fromkeys(prompt.category for prompt in prompts)
        manifest = {
            **identity_of(recipe, seed),
            "recipe": recipe.to_dict(),
            **sources,
            "libraries": {name: installed_version(name) or "unknown" for name in _LIBRARIES},
            "images": len(prompts) * recipe.repeats,
            "kept": sum(kept.values()),
            "kept_of": {name: kept[name] for name in categories},
            "rejected": {reason: rejected[reason] for reason in REASONS if rejected[reason]},
        }
        write_atomic(out / MANIFEST, readable_json(manifest, ascii_only=False))
    remove_work(out / WORK, OWN)
    return manifest


def _words(record: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the texts of a sub-category in the form of the release layout's metadata."""
    return {
        "description": record["description"],
        "short_phrase": record["phrase"],
        "features": record["features"],
    }


def _near_duplicates(out: Path, number: int, distance: int | None) -> set[str]:
    """Returns the ids of the kept images that are near-duplicates of an earlier one."""
    if distance is None:
        return set()
    records = (record for shard in range(number) for record in read_records(out, shard))
    kept = [record for record in records if not record["reasons"]]
    hashes = [int(record["scores"]["hash"], 16) for record in kept]
    positions = duplicate_positions([record["category"] for record in kept], hashes, distance)
    return {kept[position]["id"] for position in positions}


def _place(out: Path, shard: int, record: Mapping[str, Any], repeated: bool, keep: bool) -> dict[str, Any]:
    """Moves the files of an image to their places in the bank, and returns its line of the provenance."""
    reasons = [*record["reasons"], *(["near-duplicate"] if repeated else [])]
    told: dict[str, Any] = {**record, "reasons": reasons, "file": None}
    if not reasons:
        told["file"] = _kept(record)
        move(out, shard, f"{record['id']}.cutout.png", out / told["file"])
    elif keep and UNREADABLE not in reasons:
        told["file"] = _rejected(record, reasons[0])
        move(out, shard, f"{record['id']}.drawing.png", out / told["file"])
    return told


def _kept(record: Mapping[str, Any]) -> str:
    return f"{SEGMENTS}/{record['folder']}/{record['id']}.png"


def _rejected(record: Mapping[str, Any], reason: str) -> str:
    return f"rejected/{reason.replace(' ', '_')}/{record['id']}.png"


def _is_intact(out: Path, shard: int) -> bool:
    """Returns whether the files of a shard are what was written, in the shard or at their places in the bank."""

    def places(record: Mapping[str, Any]) -> dict[str, Path]:
        rejected = _rejected(record, (record["reasons"] or ["near-duplicate"])[0])
        return {f"{record['id']}.cutout.png": out / _kept(record), f"{record['id']}.drawing.png": out / rejected}

    return is_intact(out, shard, places)


def remove_damaged(out: Path, number: int) -> bool:
    """Removes damaged shards; returns whether there were any."""
    broken = [shard for shard in range(number) if shard_folder(out, shard).exists() and not _is_intact(out, shard)]
    for shard in broken:
        print(f"shard {shard} is damaged and is made again", file=sys.stderr, flush=True)
        shutil.rmtree(shard_folder(out, shard))
    return bool(broken)
