"""A light student that learns from a teacher's saliency maps as well as from the ground truth."""

import torch
from mmengine.config import Config
from mmengine.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor

from sos_mm.checks import check_choice
from sos_mm.config_file import open_model_config
from sos_mm.engine.checkpoints import load_weights
from sos_mm.engine.launch import leave_out_pretrained
from sos_mm.saliency.models.base_segmentor import SaliencySegmentor
from sos_mm.saliency.models.segmentor import LatentDiffusionSegmentor


@MODELS.register_module()
class DistilledSegmentor(LatentDiffusionSegmentor):
    """A one-step segmentor trained on the mask and on a teacher's saliency map.

    The teacher is not a part of the model: it is loaded when training begins, and is not saved in checkpoints.

    Args:
        teacher: ``config``, a config file (or the config of a model itself), and ``checkpoint``, its weights.
        loss_distill: Config of the loss between the student's logits and the teacher's map, including its weight.
        **parts: Arguments of :class:`LatentDiffusionSegmentor`.

    Raises:
        ValueError: If the head does not train by pixels, or the teacher's config has other keys.
    """

    def __init__(self, teacher: dict, loss_distill: dict, **parts):
        super().__init__(**parts)
        if self.decode_head.loss_pixel is None:
            raise ValueError("A distilled model must have the head's `loss_pixel`: the teacher's maps are pixels.")
        for key in teacher:
            check_choice("teacher key", key, ("config", "checkpoint"))
        self.teacher_config = dict(teacher)
        self.loss_distill = MODELS.build(loss_distill)
        self._teacher: list[SaliencySegmentor] = []  # In a list, so that it is no submodule.

    def losses_of_logits(self, logits: Tensor, saliency: Tensor, inputs: Tensor) -> dict[str, Tensor]:
        """Computes the pixel loss, and the loss to the teacher's saliency map."""
        if not self._teacher:
            self._teacher.append(load_teacher(**self.teacher_config).to(inputs.device))
        with torch.no_grad():
            taught = self._teacher[0].encode_decode(inputs, [SegDataSample() for _ in inputs]).mean(0)  # (B, 1, H, W)
        losses = super().losses_of_logits(logits, saliency, inputs)
        return losses | dict(loss_distill=self.loss_distill(logits, taught))


def load_teacher(config: str | dict, checkpoint: str) -> SaliencySegmentor:
    """Loads a trained model and freezes it.

    Raises:
        FileNotFoundError: If the config or the checkpoint is not there.
        UnsafeCheckpointError: If the checkpoint contains anything but weights and a training's state.
        RuntimeError: If the checkpoint is of another architecture.
    """
    model = open_model_config(config).model if isinstance(config, str) else Config(config)
    leave_out_pretrained(model)
    teacher = MODELS.build(model)
    load_weights(teacher, checkpoint)
    return teacher.eval().requires_grad_(False)
