"""Salient object detection by latent diffusion, as components of mmseg."""

from sos_mm.compat import check_openmmlab, import_quietly

check_openmmlab("mmengine", "mmcv", "mmseg")
import_quietly("mmseg.datasets", "mmseg.models")

from sos_mm.engine.hooks import VisitHook  # noqa: E402
from sos_mm.saliency.apis.inferencer import SaliencyPrediction, SODInferencer  # noqa: E402
from sos_mm.saliency.data.datasets import SaliencyDataset  # noqa: E402
from sos_mm.saliency.data.latent_cache_hook import LatentCacheHook  # noqa: E402
from sos_mm.saliency.data.transforms import (  # noqa: E402
    FlipSaliency,
    LetterboxSaliency,
    LoadAuxiliaryImage,
    LoadSaliencyImage,
    LoadSaliencyMask,
    PackSaliencyInputs,
    ResizeSaliency,
)
from sos_mm.saliency.evaluation.metric import SODMetric  # noqa: E402
from sos_mm.saliency.evaluation.tta import SaliencyTTAModel  # noqa: E402
from sos_mm.saliency.evaluation.visualization import SaliencyVisualizationHook, SaveSaliencyHook  # noqa: E402
from sos_mm.saliency.models.afim import AttentionFeatureInteraction, PlainCrossAttention  # noqa: E402
from sos_mm.saliency.models.branch import SalientBranchHead, SalientBranchSegmentor  # noqa: E402
from sos_mm.saliency.models.clipping import PartClippingConstructor  # noqa: E402
from sos_mm.saliency.models.denoiser import LatentDenoiser  # noqa: E402
from sos_mm.saliency.models.distillation import DistilledSegmentor  # noqa: E402
from sos_mm.saliency.models.fusion import CBAMFusion  # noqa: E402
from sos_mm.saliency.models.head import DiffusionSODHead  # noqa: E402
from sos_mm.saliency.models.latent_codec import SpaceToDepthCodec, StableDiffusionVAE, TinyAutoencoder  # noqa: E402
from sos_mm.saliency.models.losses import SaliencyMSELoss, StructureLoss  # noqa: E402
from sos_mm.saliency.models.mask_decoder import MaskDecoder  # noqa: E402
from sos_mm.saliency.models.preprocessor import MultiModalPreprocessor  # noqa: E402
from sos_mm.saliency.models.released_fusion import ReleasedFusion  # noqa: E402
from sos_mm.saliency.models.salient_encoder import SalientEncoder  # noqa: E402
from sos_mm.saliency.models.segmentor import LatentDiffusionSegmentor  # noqa: E402

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
    "TinyAutoencoder",
    "VisitHook",
]
