"""Released data sets: their names, downloads from the Hugging Face hub, and unpacking."""

from sos_mm.released.catalogue import CATALOGUE, ReleasedSet, find_set
from sos_mm.released.fetching import Fetched, fetch

__all__ = ["CATALOGUE", "Fetched", "ReleasedSet", "fetch", "find_set"]
