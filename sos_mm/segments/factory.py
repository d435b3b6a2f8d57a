"""Builds banks from dicts, as recipes hold them."""

from collections.abc import Callable, Mapping, Sequence
from inspect import signature
from pathlib import Path
from typing import Any

from sos_mm.checks import check_boolean, check_choice, check_integer, check_names, few
from sos_mm.errors import BROKEN, ErrorCollector
from sos_mm.formats.phrases import category_key
from sos_mm.local_copies import local_copies, local_copy
from sos_mm.segments.bank import SegmentBank
from sos_mm.segments.index.writer import measured
from sos_mm.segments.mixture import MixedBank
from sos_mm.segments.pairs import CategoryPairs
from sos_mm.segments.protocol import Bank
from sos_mm.segments.quality import Filters
from sos_mm.segments.readers.coco import read_annotated
from sos_mm.segments.readers.folder import read_folder
from sos_mm.segments.readers.parquet import read_parquet
from sos_mm.segments.readers.release import read_release_layout
from sos_mm.segments.readers.tar import read_tar
from sos_mm.segments.record import SegmentRecord
from sos_mm.segments.sampler import STRATEGIES
from sos_mm.segments.vocabulary import find_categories, repeat_factors
from sos_mm.storage import is_address

READERS: dict[str, Callable[..., list[SegmentRecord]]] = {
    "release": read_release_layout,
    "coco": read_annotated,
    "lvis": read_annotated,
    "folder": read_folder,
    "tar": read_tar,
    "parquet": read_parquet,
}
_SPECIAL = {"sample": ("group", "include"), "index": ("path", "root"), "mix": ("banks", "weights")}
TYPES = (*READERS, *_SPECIAL)
_PATHS = ("annotations", "filter_annotations", "images", "metadata", "path", "root")
_NAMES, _BOOLEANS = ("include", "attributes"), ("allow_missing", "crowd", "decontaminate", "truncated")
# Options of every type; the further ones are not for a mix, whose banks have their own.
_WEIGHTS = ("category_weights", "category_pairs")
_SHARED = ("filters", "vocabulary", "attributes", *_WEIGHTS)
_COMMON = (*_SHARED, "broken", "cache_bytes")


def build_bank(config: Mapping[str, Any]) -> Bank:
    """Builds a bank from a dict.

    Args:
        config: ``type`` and the options of that type: 'sample' (those of `SegmentBank.sample_bank`), 'release'
            (`read_release_layout`), 'coco' and 'lvis' (`read_annotated`), 'folder' (`read_folder`), 'tar'
            (`read_tar`), 'parquet' (`read_parquet`), 'index' (``path`` and ``root`` of `IndexedRecords`), or 'mix'
            (``banks``, a list of such dicts, and ``weights``). Each may also have ``filters`` (the fields of
            `Filters`), ``vocabulary`` and ``attributes`` (`SegmentBank.select`), ``category_weights`` (weights by name,
            or the arguments of `repeat_factors`) and ``category_pairs`` (the fields of `CategoryPairs`; with equal
            weights of categories if none are given), for the strategy 'weighted'; those of a mix replace the weights of
            its banks. Each but 'mix' may have ``cache_bytes``, and ``broken``: with 'skip' all segments without an
            index are read now, and broken ones are left out, counted in ``bank.skipped`` and described in
            ``bank.faults``; with 'error', the default, the first broken one raises. Paths may be addresses on object
            storage, such as ``s3://bucket/prefix``: what is there is copied to this machine, see `local_copy`.

    Raises:
        FileNotFoundError, ValueError: From the reader, for an unknown type or option, and for weights of categories
            that it lacks.
        ConnectionError, ImportError, OSError: From `local_copy`.
    """
    check_bank(config)
    config = with_local_copies(config)
    bank = _plain_bank(config)
    weights, pairs = config.get("category_weights"), config.get("category_pairs")
    if weights is not None:
        weights = _weights_for(weights, bank.categories)
    chosen = {key: config[key] for key in ("vocabulary", "attributes") if config.get(key) is not None}
    if config.get("filters"):
        chosen["filters"] = Filters.from_dict(config["filters"])
    if chosen:
        bank = bank.select(**chosen, broken=config.get("broken", "error"))
    if weights is None and pairs is None:
        return bank
    return bank.weighted(weights or {}, None if pairs is None else CategoryPairs.from_dict(pairs))


def check_bank(config: Mapping[str, Any]) -> None:
    """Checks the keys of a bank's dict without reading any file.

    Raises:
        ValueError: If the type or an option is unknown (says the nearest one) or an option is missing.
    """
    if not isinstance(config, Mapping):
        raise ValueError(f"A bank must be described by a dict with a `type`, but got {config!r}.")
    kind: Any = config.get("type")
    check_choice("type of the bank", kind, TYPES)
    known, needed = _options(kind)
    for key in config:
        check_choice(f"option of the bank {kind!r}", key, ("type", *known))
    missing = [key for key in needed if not config.get(key)]
    if missing:
        raise ValueError(f"The bank {kind!r} must have `{missing[0]}`, but has only {', '.join(config)}.")
    _check_values(config)
    for each in config.get("banks") or ():
        check_bank(each)
    Filters.from_dict(config.get("filters") or {})
    if config.get("category_pairs") is not None:
        CategoryPairs.from_dict(config["category_pairs"])


def check_sampling(sampling: str, bank: Mapping[str, Any]) -> None:
    """Checks that a bank has weights of categories exactly where the strategy of drawing segments uses them.

    Args:
        sampling: The strategy; see `SegmentBank.sample`.
        bank: A dict that `check_bank` accepts.

    Raises:
        ValueError: If there is no such strategy, it needs weights that the bank does not have, or would ignore those
            that the bank has.
    """
    check_choice("sampling", sampling, STRATEGIES)
    if sampling == "weighted":
        if not _has_weights(bank):
            raise ValueError(
                "`sampling` 'weighted' needs `category_weights` or `category_pairs` of the bank: add them."
            )
        return
    ignored = [key for key in _WEIGHTS if bank.get(key)]
    if ignored:
        raise ValueError(
            f"`sampling` must be 'weighted' where the bank has `{ignored[0]}`, but is {sampling!r}, which ignores "
            "them: change it, or leave them out."
        )


def _has_weights(bank: Mapping[str, Any]) -> bool:
    """Returns whether a bank, or every bank of a mix, has weights or pairs of categories."""
    banks = bank.get("banks") or ()
    return any(bank.get(key) is not None for key in _WEIGHTS) or (bool(banks) and all(map(_has_weights, banks)))


def _check_values(config: Mapping[str, Any]) -> None:
    """Checks the types of a bank's options, of which None stands for the default; readers check their ranges."""
    for key, value in config.items():
        if value is None:
            continue
        if key in _PATHS and not isinstance(value, str | Path):
            raise ValueError(f"`{key}` of the bank must be a path, but got {value!r}.")
        if key in _NAMES:
            check_names(key, value)
        if key in _BOOLEANS:
            check_boolean(key, value)
        if key in ("banks", "weights") and not isinstance(value, list | tuple):
            raise ValueError(f"`{key}` of the bank must be a list, but got {value!r}.")
        if key in ("category_weights", "filters") and not isinstance(value, Mapping):
            raise ValueError(f"`{key}` of the bank must be a dict, but got {value!r}.")
    if not isinstance(config.get("shards", ""), str | Path | list | tuple):
        raise ValueError(f"`shards` of the bank must be paths, or one pattern, but got {config['shards']!r}.")
    check_integer("cache_bytes", config.get("cache_bytes", 0), 0, 2**50)
    check_choice("broken", config.get("broken", "error"), BROKEN)


def _options(kind: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Returns the options of a type of bank, and those of them that are required."""
    if kind == "mix":
        return (*_SPECIAL["mix"], *_SHARED), ("banks",)
    if kind in _SPECIAL:
        return (*_SPECIAL[kind], *_COMMON), ("path",) if kind == "index" else ()
    options = {name: each for name, each in signature(READERS[kind]).parameters.items() if name != "faults"}
    return (*options, *_COMMON), tuple(name for name, each in options.items() if each.default is each.empty)


def _plain_bank(config: Mapping[str, Any]) -> Bank:
    kind = config["type"]
    if kind == "mix":
        return MixedBank([build_bank(each) for each in config["banks"]], config.get("weights"))
    options = {key: value for key, value in config.items() if key not in ("type", *_COMMON)}
    cache = {"cache_bytes": config["cache_bytes"]} if "cache_bytes" in config else {}
    if kind == "index":
        return SegmentBank(SegmentBank.from_index(**options).records, **cache)
    faults = ErrorCollector(config.get("broken", "error"))
    records = _read(kind, options, faults)
    if faults.broken == "skip":
        records = measured(records, faults)
    return SegmentBank(records, **cache, faults=faults)


def list_records(config: Mapping[str, Any], faults: ErrorCollector) -> list[SegmentRecord]:
    """Lists the records of a source that is not an index, as input of `build_index`.

    Args:
        config: As for `build_bank`, but of a type that reads files, and without the options that select or weigh
            segments: an index holds all of them, and they are selected when it is opened.
        faults: Records segments that cannot be listed.

    Raises:
        FileNotFoundError, ValueError: As `build_bank`.
    """
    check_bank(config)
    check_choice("type of the segments to index", config["type"], (*READERS, "sample"))
    for key in config:
        if key in _COMMON:
            raise ValueError(f"`{key}` is not for making an index, which holds all segments: give it when opening one.")
    options = {key: value for key, value in with_local_copies(config).items() if key != "type"}
    return _read(config["type"], options, faults)


def _read(kind: str, options: Mapping[str, Any], faults: ErrorCollector) -> list[SegmentRecord]:
    if kind == "sample":
        return list(SegmentBank.sample_bank(**options).records)
    return READERS[kind](**options, faults=faults)


def with_local_copies(config: Mapping[str, Any]) -> dict[str, Any]:
    """Copies what a bank's dict names on object storage to this machine; returns the dict with the paths of the copies.

    Raises:
        ConnectionError, FileNotFoundError, ImportError, OSError: From `local_copy`.
        ValueError: If some shards are paths, and others addresses.
    """
    local = dict(config)
    if config["type"] == "mix":
        return {**local, "banks": [with_local_copies(each) for each in config["banks"]]}
    for key in (*_PATHS, "shards"):
        if is_address(local.get(key)):
            # Beside an index lie its copies of the segments.
            indexed = key == "path" and config["type"] == "index"
            local[key] = local_copy(local[key], f"{Path(local[key]).stem}.*.copies" if indexed else "")
    shards = local.get("shards")
    if isinstance(shards, list | tuple) and any(map(is_address, shards)):
        if not all(map(is_address, shards)):
            raise ValueError(f"`shards` of the bank must all be paths or all be addresses, but got {shards!r}.")
        local["shards"] = local_copies(shards)
    return local


def _weights_for(config: Mapping[str, Any], categories: Sequence[str]) -> Mapping[str, float]:
    """Returns weights by category for a bank of these categories, before any of them are selected.

    A name that the bank lacks changes nothing. Written by hand it is a mistake; a data set's annotation file names all
    categories of its vocabulary, whatever the bank has.

    Raises:
        ValueError: If the bank lacks a name that is written by hand (names the nearest), or all of a data set.
    """
    weights = category_weights(config)
    if "annotations" not in config:
        find_categories(weights, categories, "category_weights")
    elif not {category_key(name) for name in weights} & {category_key(name) for name in categories}:
        raise ValueError(
            f"`category_weights` must share a category with the bank, but none of {few(weights)} is in it: give those "
            "of another data set, or leave them out."
        )
    return weights


def category_weights(config: Mapping[str, Any]) -> Mapping[str, float]:
    """Returns weights by category from a recipe's ``category_weights``: themselves, or by `repeat_factors`.

    Raises:
        ValueError: If a name is no text, or an argument of `repeat_factors` is unknown or no file or counts.
    """
    if "annotations" not in config:
        check_names("names of category_weights", list(config))
        return config
    for key in config:
        check_choice("key of category_weights", key, signature(repeat_factors).parameters)
    if not isinstance(config["annotations"], str | Path | Mapping):
        got = repr(config["annotations"])
        raise ValueError(f"`annotations` of `category_weights` must be a file or counts by name, but got {got}.")
    return repeat_factors(**config)
