"""Batches of one or more images each, scaled to [0, 1]."""

import torch
from mmengine.model import BaseDataPreprocessor
from mmengine.registry import MODELS


@MODELS.register_module()
class MultiModalPreprocessor(BaseDataPreprocessor):
    """Stacks inputs (3 n, H, W) uint8 to (B, 3 n, H, W) in [0, 1].

    The channels of each image are turned from BGR to RGB. mmengine's ``ImgDataPreprocessor`` knows only one image.
    """

    def forward(self, data: dict, training: bool = False) -> dict:
        """Preprocesses a batch.

        Raises:
            ValueError: If the inputs differ in size.
        """
        data = self.cast_data(data)
        inputs = data["inputs"]
        if len({tuple(each.shape) for each in inputs}) != 1:
            shapes = ", ".join(sorted({"x".join(map(str, each.shape)) for each in inputs}))
            raise ValueError(f"The inputs of a batch must be of one size, but got {shapes}: resize or pad them.")
        stacked = torch.stack(list(inputs)).float() / 255
        order = [first + channel for first in range(0, stacked.shape[1], 3) for channel in (2, 1, 0)]
        return dict(inputs=stacked[:, order], data_samples=data.get("data_samples"))
