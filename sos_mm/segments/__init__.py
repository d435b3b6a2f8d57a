"""Object segments: RGBA cut-outs with words, and banks to draw them from."""

from sos_mm.segments.bank import SegmentBank
from sos_mm.segments.segment import Segment
from sos_mm.segments.sources import SegmentRecord, read_release_layout

__all__ = ["Segment", "SegmentBank", "SegmentRecord", "read_release_layout"]
