"""Referring expressions as the authors of gRefCOCO write them: ``grefs(unc).json``, beside a COCO instances file.

Each entry is of one set of annotations and holds the sentences that mean it. `sos_mm.formats.mdetr.read_refs` reads it.
"""

from collections.abc import Iterable, Iterator

from sos_mm.formats.mdetr import NO_TARGET, Expression
from sos_mm.formats.records import Record


def ref_records(expressions: Iterable[Expression], split: str) -> Iterator[Record]:
    """Encodes the expressions of one image; expressions with the same targets become one entry.

    ``ref_id`` is the id of an entry's first sentence, since expressions have integers as ids.

    Args:
        expressions: Expressions of one image; their targets must have ids.
        split: Name of the split, such as 'train' or 'val'.

    Raises:
        ValueError: If a target has no id that is an integer.
    """
    entries: dict[tuple[int, ...], list[Expression]] = {}
    for each in expressions:
        known = tuple(target.id for target in each.targets)
        ids = tuple(id for id in known if isinstance(id, int))
        if len(ids) < len(known):
            raise ValueError(
                f"The form `refs` names annotations by integers, but the expression {each.id!r} means {known!r}: "
                "write it for COCO, LVIS or composed images."
            )
        entries.setdefault(ids, []).append(each)
    for ids, same in entries.items():
        yield _entry(ids, same, split)


def _entry(ids: tuple[int, ...], same: list[Expression], split: str) -> Record:
    first = same[0]
    return {
        "ref_id": first.id,
        "image_id": first.image_id,
        "file_name": first.image["file_name"],
        "split": split,
        "ann_id": list(ids) or [NO_TARGET],
        "category_id": [target.category_id for target in first.targets] or [NO_TARGET],
        "no_target": not ids,
        "sent_ids": [each.id for each in same],
        "sentences": [_sentence(each) for each in same],
    }


def _sentence(expression: Expression) -> Record:
    text = expression.text
    return {"sent_id": expression.id, "sent": text, "raw": text, "tokens": text.lower().split()}
