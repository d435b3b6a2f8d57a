"""The leakage audit: near-duplicate images and cut-outs of training and test data, found by perceptual hashes."""

from sos_mm.annotations.leakage.audit import Audit, Leak, audit
from sos_mm.annotations.leakage.hashing import BITS, perceptual_hashes
from sos_mm.annotations.leakage.page import write_page
from sos_mm.annotations.leakage.search import nearest

__all__ = ["BITS", "Audit", "Leak", "audit", "nearest", "perceptual_hashes", "write_page"]
