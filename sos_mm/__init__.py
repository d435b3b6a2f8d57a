"""Synthetic object segments and salient object detection by latent diffusion, for OpenMMLab.

Importing this package imports nothing else. Its public names are imported on first use, so that ``type='sos_mm.X'``
works in any mmengine config without an import line.
"""

from importlib import import_module

__version__ = "0.1.0"

# Module -> the public names that it defines. Configs use these names: add, never remove.
_MODULES = {
    "sos_mm.segments": "MixedBank Segment SegmentBank build_bank",
    "sos_mm.cutouts": "CutRules CutoutWriter Hypothesis OnnxCutter cut_out cut_segments find_hypotheses",
    "sos_mm.composition": "Layout Placement PhotoBackgrounds Scene SceneObject StructuredLayout compose",
    "sos_mm.synthesis": "Recipe synthesize",
    "sos_mm.saliency": (
        "AttentionFeatureInteraction CBAMFusion DiffusionSODHead DistilledSegmentor FlipSaliency "
        "LatentCacheHook LatentDenoiser LatentDiffusionSegmentor LetterboxSaliency LoadAuxiliaryImage "
        "LoadSaliencyImage LoadSaliencyMask MaskDecoder MultiModalPreprocessor PackSaliencyInputs PlainCrossAttention "
        "ReleasedFusion ResizeSaliency SODInferencer SODMetric SaliencyDataset SaliencyMSELoss SaliencyTTAModel "
        "SaliencyVisualizationHook SalientBranchHead SalientBranchSegmentor SalientEncoder SaveSaliencyHook "
        "SpaceToDepthCodec StableDiffusionVAE StructureLoss TinyAutoencoder"
    ),
    "sos_mm.augmentation": "SegmentPaste WordSafeTransform",
    "sos_mm.detection": (
        "CappedGroundingDINO CappedGroundingDINOHead CompactODVGDataset IntraClassReferringDataset "
        "IntraClassReferringMetric LoadWindowMasks SourceRatioBatchSampler SourceRatioSampler"
    ),
    "sos_mm.engine.hooks": "VisitHook",
    "sos_mm.shipped": "get_config",
}
_PUBLIC = {name: module for module, names in _MODULES.items() for name in names.split()}

__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str):
    if name not in _PUBLIC:
        raise AttributeError(f"module 'sos_mm' has no attribute {name!r}.")
    try:
        return getattr(import_module(_PUBLIC[name]), name)
    except ImportError as error:
        # mmengine turns any ImportError into "not in the registry", which hides the message.
        raise RuntimeError(
            f"`sos_mm.{name}` cannot be used here, because importing it failed: {error} "
            "`sos-mm env` (in a clone also `python tools/collect_env.py`) says what each part needs and how to get it."
        ) from error


def __dir__():
    return sorted(__all__)
