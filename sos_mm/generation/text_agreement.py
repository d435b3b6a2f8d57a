"""Compares cut-outs with words by a CLIP or SigLIP model of transformers."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import torch
from transformers import AutoImageProcessor, AutoModel, AutoTokenizer

from sos_mm.formats.phrases import category_key
from sos_mm.generation.loading import explained, find_device, find_dtype
from sos_mm.generation.prompts import spoken_name, with_article
from sos_mm.segments.foreground import put_on

_FRAME = "a photo of {}"


class TextAgreement:
    """Scores how well a cut-out agrees with its phrase and its category.

    Args:
        source: Folder or hub id of a model with image and text features (CLIP: arXiv 2103.00020, SigLIP: arXiv
            2303.15343), in safetensors.
        categories: All categories of the run; the rank of a cut-out's own category is among these.
        device: As `sos_mm.generation.loading.find_device`.
        dtype: One of `sos_mm.generation.loading.DTYPES`.

    Raises:
        FileNotFoundError: If it cannot be loaded; says how to get it.
        ValueError: If the model has no image and text features.
    """

    def __init__(self, source: str, categories: Sequence[str], device: str = "auto", dtype: str = "float32"):
        self._device = find_device(device)
        options = {"use_safetensors": True, "dtype": find_dtype(dtype, self._device)}
        self._model: Any = explained(source, lambda: AutoModel.from_pretrained(source, **options)).to(self._device)
        if not hasattr(self._model, "get_image_features") or not hasattr(self._model, "get_text_features"):
            raise ValueError(f"`text_model` must be a model such as CLIP or SigLIP, but got {source!r}.")
        self._model.eval()
        self._tokenizer = explained(source, lambda: AutoTokenizer.from_pretrained(source))
        self._processor = explained(source, lambda: AutoImageProcessor.from_pretrained(source))
        self._keys = [category_key(name) for name in categories]
        names = [_FRAME.format(with_article(spoken_name(name))) for name in categories]
        self._of_categories = torch.cat([self._of_text(name) for name in names])
        self._of_phrase = lru_cache(4096)(self._of_text)

    def score(self, rgba: np.ndarray, category: str, phrase: str) -> dict[str, Any]:
        """Scores a cut-out.

        Args:
            rgba: (H, W, 4) uint8.
            category: One of the categories.
            phrase: Its noun phrase.

        Returns:
            ``similarity``, the cosine of the features of cut-out and phrase, and ``rank``, the rank of the category
            among all by similarity, from 1.
        """
        feature = self._of_image(rgba)
        similarities = self._of_categories @ feature
        own = similarities[self._keys.index(category_key(category))]
        similarity = float(self._of_phrase(_FRAME.format(phrase))[0] @ feature)
        return {"similarity": round(similarity, 4), "rank": 1 + int((similarities > own).sum())}

    @torch.inference_mode()
    def _of_text(self, text: str) -> torch.Tensor:
        """Computes the features of a text, (1, C), of length 1."""
        # SigLIP was trained on texts that are filled up to their full length.
        padding = "max_length" if "siglip" in self._model.config.model_type else True
        tokens = self._tokenizer(text, padding=padding, truncation=True, return_tensors="pt").to(self._device)
        found = self._model.get_text_features(**tokens)
        return torch.nn.functional.normalize(found.float(), dim=-1)

    @torch.inference_mode()
    def _of_image(self, rgba: np.ndarray) -> torch.Tensor:
        """Computes the features of a cut-out on a white square, (C,), of length 1."""
        side = max(rgba.shape[:2])
        top, left = (side - rgba.shape[0]) // 2, (side - rgba.shape[1]) // 2
        bottom, right = side - rgba.shape[0] - top, side - rgba.shape[1] - left
        shown = put_on(rgba, np.full(3, 255.0))
        square = cv2.copyMakeBorder(shown, top, bottom, left, right, cv2.BORDER_CONSTANT, value=(255, 255, 255))
        pixels = self._processor(square, return_tensors="pt").to(self._device)
        found = self._model.get_image_features(pixel_values=pixels["pixel_values"].to(self._model.dtype))
        return torch.nn.functional.normalize(found.float(), dim=-1)[0]
