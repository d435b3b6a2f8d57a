"""Object segments: RGBA cut-outs with texts that describe them, and banks from which they are drawn."""

from sos_mm.segments.bank import SegmentBank
from sos_mm.segments.factory import build_bank, check_bank
from sos_mm.segments.index.joining import join_indices
from sos_mm.segments.index.writer import build_index
from sos_mm.segments.mixture import MixedBank
from sos_mm.segments.quality import Filters
from sos_mm.segments.readers.coco import read_annotated
from sos_mm.segments.readers.folder import read_folder
from sos_mm.segments.readers.parquet import read_parquet
from sos_mm.segments.readers.release import read_release_layout
from sos_mm.segments.readers.tar import read_tar
from sos_mm.segments.record import SegmentRecord
from sos_mm.segments.segment import Segment

__all__ = [
    "Filters",
    "MixedBank",
    "Segment",
    "SegmentBank",
    "SegmentRecord",
    "build_bank",
    "build_index",
    "check_bank",
    "join_indices",
    "read_annotated",
    "read_folder",
    "read_parquet",
    "read_release_layout",
    "read_tar",
]
