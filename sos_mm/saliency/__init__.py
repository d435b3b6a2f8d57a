"""Salient object detection by latent diffusion, as components of mmseg."""

from sos_mm.compat import check_openmmlab

check_openmmlab("mmengine", "mmcv", "mmseg")

from sos_mm.saliency.afim import AttentionFeatureInteraction  # noqa: E402
from sos_mm.saliency.datasets import SaliencyDataset  # noqa: E402
from sos_mm.saliency.denoiser import LatentDenoiser  # noqa: E402
from sos_mm.saliency.fusion import CBAMFusion  # noqa: E402
from sos_mm.saliency.head import DiffusionSODHead  # noqa: E402
from sos_mm.saliency.inferencer import SaliencyPrediction, SODInferencer  # noqa: E402
from sos_mm.saliency.latent_codec import SpaceToDepthCodec, StableDiffusionVAE  # noqa: E402
from sos_mm.saliency.losses import SaliencyMSELoss  # noqa: E402
from sos_mm.saliency.metric import SODMetric  # noqa: E402
from sos_mm.saliency.salient_encoder import SalientEncoder  # noqa: E402
from sos_mm.saliency.segmentor import LatentDiffusionSegmentor  # noqa: E402
from sos_mm.saliency.transforms import (  # noqa: E402
    FlipSaliency,
    LoadAuxiliaryImage,
    LoadSaliencyImage,
    LoadSaliencyMask,
    PackSaliencyInputs,
    ResizeSaliency,
)
from sos_mm.saliency.visualization import SaliencyVisualizationHook, SaveSaliencyHook  # noqa: E402
from sos_mm.visits import VisitHook  # noqa: E402

__all__ = [
    "AttentionFeatureInteraction",
    "CBAMFusion",
    "DiffusionSODHead",
    "FlipSaliency",
    "LatentDenoiser",
    "LatentDiffusionSegmentor",
    "LoadAuxiliaryImage",
    "LoadSaliencyImage",
    "LoadSaliencyMask",
    "PackSaliencyInputs",
    "ResizeSaliency",
    "SODInferencer",
    "SODMetric",
    "SaliencyDataset",
    "SaliencyMSELoss",
    "SaliencyPrediction",
    "SaliencyVisualizationHook",
    "SalientEncoder",
    "SaveSaliencyHook",
    "SpaceToDepthCodec",
    "StableDiffusionVAE",
    "VisitHook",
]
