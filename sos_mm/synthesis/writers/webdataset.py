"""WebDataset: images and their annotations in tar files, as training from streams reads them."""

from sos_mm.formats.webdataset import INDEX, SHARDLIST, encode_sample, index_head, object_record
from sos_mm.synthesis.writers.format import Encoded, Entry, Format, Record, Table, Totals

FOLDER = "webdataset"


def webdataset_format() -> Format:
    """Returns the format WebDataset: ``webdataset/NNNNNN.tar``, one for each shard, and ``webdataset/index.json``.

    A sample is ``NAME.jpg`` (or ``.png``) and ``NAME.json``: ``objects`` from back to front, each with ``label`` (from
    0, in the order of the category ids), ``category``, ``category_id``, ``phrase``, ``area``, ``visible_share``,
    ``box`` (half-open xyxy) and ``segmentation`` (the modal mask in COCO's compressed run lengths); ``ignored`` are the
    ignore regions. The index lists the tar files with their numbers of samples and sizes, and the ``categories`` by
    label.

    The tar files hold the images, so that a data set of this format alone has no folder ``images``.
    """
    table = Table(f"{FOLDER}/{INDEX}", (SHARDLIST,), head=_head, by_shard=True)
    return Format(_encode, (table,), archive=FOLDER)


def _encode(entry: Entry) -> Encoded:
    sample = encode_sample(entry.file_name, entry.size, _objects(entry), _ignored(entry))
    return Encoded(members={entry.file_name: entry.image_file, f"{entry.name}.json": sample})


def _objects(entry: Entry) -> list[Record]:
    labels, names = entry.categories.labels, entry.categories.names
    return [
        object_record(
            labels[id],
            names[id],
            each.box,
            mask,
            category_id=id,
            phrase=each.phrase,
            area=each.area,
            visible_share=each.visible_share,
        )
        for each, id, mask in zip(entry.scene.objects, entry.category_ids, entry.modal_rles, strict=True)
    ]


def _ignored(entry: Entry) -> list[Record]:
    labels, names = entry.categories.labels, entry.categories.names
    return [
        object_record(labels[id], names[id], each.box, mask, category_id=id)
        for each, id, mask in zip(entry.scene.ignored, entry.ignored_category_ids, entry.ignored_rles, strict=True)
    ]


def _head(totals: Totals) -> Record:
    return index_head("composed", totals.categories.names.values())
