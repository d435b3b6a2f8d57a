"""Losses of the saliency model."""

from mmengine.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional


@MODELS.register_module()
class SaliencyMSELoss(nn.Module):
    """Mean squared error times a weight.

    mmdet's ``MSELoss`` is the same and cannot be used: mmdet does not import without compiled operators.

    Args:
        loss_weight: The weight.
    """

    def __init__(self, loss_weight: float = 1.0):
        super().__init__()
        self.loss_weight = loss_weight

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Two tensors of one shape -> scalar, in 32 bits whatever the inputs are."""
        return self.loss_weight * functional.mse_loss(prediction.float(), target.float())
