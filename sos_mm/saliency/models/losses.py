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
        """Computes the loss of two tensors of the same shape: a scalar, in float32 for any input type."""
        return self.loss_weight * functional.mse_loss(prediction.float(), target.float())


@MODELS.register_module()
class StructureLoss(nn.Module):
    """Binary cross-entropy and IoU, both weighted by structure: pixels whose surroundings differ from them count more.

    The weight is 1 + ``emphasis`` |mean of the mask around - mask|, as in F3Net (Wei et al., AAAI 2020).

    Args:
        kernel: Side of the surroundings in pixels, odd.
        emphasis: Factor of the additional weight; 0 for none.
        loss_weight: The weight of the sum.
    """

    def __init__(self, kernel: int = 31, emphasis: float = 5.0, loss_weight: float = 1.0):
        super().__init__()
        if kernel < 1 or kernel % 2 == 0:
            raise ValueError(f"`kernel` must be odd and at least 1, but got {kernel}.")
        self.kernel = kernel
        self.emphasis = emphasis
        self.loss_weight = loss_weight

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Computes the loss of logits and mask in [0, 1], both (B, 1, H, W): a scalar, in 32 bits."""
        logits, target = logits.float(), target.float()
        # The image's border is no edge of the mask: pixels outside do not count.
        around = functional.avg_pool2d(target, self.kernel, 1, self.kernel // 2, count_include_pad=False)
        weight = 1 + self.emphasis * (around - target).abs()
        entropy = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
        entropy = (weight * entropy).sum((1, 2, 3)) / weight.sum((1, 2, 3))
        shown = logits.sigmoid()
        both = (weight * shown * target).sum((1, 2, 3))
        either = (weight * (shown + target)).sum((1, 2, 3)) - both
        # An empty mask has no IoU; with one added, showing nothing is right.
        overlap = (both + 1) / (either + 1)
        return self.loss_weight * (entropy + 1 - overlap).mean()
