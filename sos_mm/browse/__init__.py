"""A browsable HTML page about a data set of any known kind, which opens from disk."""

from sos_mm.browse.page import page_folder, write_report
from sos_mm.browse.reading import read_annotations, read_dataset

__all__ = ["page_folder", "read_annotations", "read_dataset", "write_report"]
