"""Salient object detection by latent diffusion, as components of mmseg."""

from sos_mm.compat import check_openmmlab, import_quietly

check_openmmlab("mmengine", "mmcv", "mmseg")
import_quietly("mmseg.datasets", "mmseg.models")

from sos_mm.engine.hooks import VisitHook  # noqa: E402
from sos_mm.saliency.afim import AttentionFeatureInteraction, PlainCrossAttention  # noqa: E402
from sos_mm.saliency.augmented_test import SaliencyTTAModel  # noqa: E402
from sos_mm.saliency.branch import SalientBranchHead, SalientBranchSegmentor  # noqa: E402
from sos_mm.saliency.clipping import PartClippingConstructor  # noqa: E402
from sos_mm.saliency.datasets import SaliencyDataset  # noqa: E402
from sos_mm.saliency.denoiser import LatentDenoiser  # noqa: E402
from sos_mm.saliency.distillation import DistilledSegmentor  # noqa: E402
from sos_mm.saliency.fusion import CBAMFusion  # noqa: E402
from sos_mm.saliency.head import DiffusionSODHead  # noqa: E402
from sos_mm.saliency.inferencer import SaliencyPrediction, SODInferencer  # noqa: E402
from sos_mm.saliency.latent_cache import LatentCacheHook  # noqa: E402
from sos_mm.saliency.latent_codec import SpaceToDepthCodec, StableDiffusionVAE  # noqa: E402
from sos_mm.saliency.losses import SaliencyMSELoss, StructureLoss  # noqa: E402
from sos_mm.saliency.mask_decoder import MaskDecoder  # noqa: E402
from sos_mm.saliency.metric import SODMetric  # noqa: E402
from sos_mm.saliency.preprocessor import MultiModalPreprocessor  # noqa: E402
from sos_mm.saliency.released_fusion import ReleasedFusion  # noqa: E402
from sos_mm.saliency.salient_encoder import SalientEncoder  # noqa: E402
from sos_mm.saliency.segmentor import LatentDiffusionSegmentor  # noqa: E402
from sos_mm.saliency.transforms import (  # noqa: E402
    FlipSaliency,
    LetterboxSaliency,
    LoadAuxiliaryImage,
    LoadSaliencyImage,
    LoadSaliencyMask,
    PackSaliencyInputs,
    ResizeSaliency,
)
from sos_mm.saliency.visualization import SaliencyVisualizationHook, SaveSaliencyHook  # noqa: E402

__all__ = [
    "AttentionFeatureInteraction",
    "CBAMFusion",
    "DiffusionSODHead",
    "DistilledSegmentor",
    "FlipSaliency",
    "LatentCacheHook",
    "LatentDenoiser",
    "LatentDiffusionSegmentor",
    "LetterboxSaliency",
    "LoadAuxiliaryImage",
    "LoadSaliencyImage",
    "LoadSaliencyMask",
    "MaskDecoder",
    "MultiModalPreprocessor",
    "PackSaliencyInputs",
    "PartClippingConstructor",
    "PlainCrossAttention",
    "ReleasedFusion",
    "ResizeSaliency",
    "SODInferencer",
    "SODMetric",
    "SaliencyDataset",
    "SaliencyMSELoss",
    "SaliencyPrediction",
    "SaliencyTTAModel",
    "SaliencyVisualizationHook",
    "SalientBranchHead",
    "SalientBranchSegmentor",
    "SalientEncoder",
    "SaveSaliencyHook",
    "SpaceToDepthCodec",
    "StableDiffusionVAE",
    "StructureLoss",
    "VisitHook",
]
