"""Extensions of mmdet: samplers of several sources, limited denoising queries, intra-class referring, masks in windows.

The only part of the package that imports mmdet, which needs mmcv with compiled operators.
"""

from sos_mm.compat import check_openmmlab, import_quietly, restore_numpy_aliases

check_openmmlab("mmengine", "mmcv", "mmdet")
import_quietly("mmdet.datasets")
# mmdet's LVIS data set and metrics use the lvis package, which needs the removed aliases.
restore_numpy_aliases()

from sos_mm.detection.composed import CompactODVGDataset  # noqa: E402
from sos_mm.detection.denoising import CappedGroundingDINO, CappedGroundingDINOHead  # noqa: E402
from sos_mm.detection.intra_class import IntraClassReferringDataset, IntraClassReferringMetric  # noqa: E402
from sos_mm.detection.load_window_masks import LoadWindowMasks  # noqa: E402
from sos_mm.detection.samplers import SourceRatioBatchSampler, SourceRatioSampler  # noqa: E402
from sos_mm.detection.window_masks import WindowMasks  # noqa: E402

__all__ = [
    "CappedGroundingDINO",
    "CappedGroundingDINOHead",
    "CompactODVGDataset",
    "IntraClassReferringDataset",
    "IntraClassReferringMetric",
    "LoadWindowMasks",
    "SourceRatioBatchSampler",
    "SourceRatioSampler",
    "WindowMasks",
]
