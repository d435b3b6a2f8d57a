"""Clips gradients by the norm of one part of the model, and leaves the others unchanged."""

from collections.abc import Callable
from functools import partial

from mmengine.model import is_model_wrapper
from mmengine.optim import DefaultOptimWrapperConstructor, OptimWrapper
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS
from torch import Tensor, nn


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class PartClippingConstructor(DefaultOptimWrapperConstructor):
    """Builds an optimizer wrapper whose ``clip_grad`` applies to one part of the model alone.

    It is mmengine's default otherwise, and builds wrappers of any type, ``AmpOptimWrapper`` among them. The logged
    ``grad_norm`` is that of the part.

    Args:
        optim_wrapper_cfg: The wrapper's config with ``clip_grad`` and, beside it, ``clip_part``: the name of the part,
            such as ``decode_head.denoiser.unet``.
        paramwise_cfg: mmengine's.

    Raises:
        ValueError: If ``clip_part`` or ``clip_grad`` is missing.
        AttributeError: When it is called, if the model has no such part.

    Example:
        >>> optim_wrapper = dict(
        ...     type="OptimWrapper",
        ...     constructor="PartClippingConstructor",
        ...     clip_part="decode_head.denoiser.unet",
        ...     clip_grad=dict(max_norm=1.0),
        ...     optimizer=dict(type="AdamW", lr=3e-5),
        ... )
    """

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None):
        config = dict(optim_wrapper_cfg)
        self.clip_part = config.pop("clip_part", None)
        if not self.clip_part or not config.get("clip_grad"):
            raise ValueError(
                "PartClippingConstructor needs `clip_part` and `clip_grad` in `optim_wrapper`, such as "
                "`clip_part='decode_head.denoiser.unet'` and `clip_grad=dict(max_norm=1.0)`, "
                f"but got {self.clip_part!r} and {config.get('clip_grad')!r}."
            )
        super().__init__(config, paramwise_cfg)

    def __call__(self, model: nn.Module) -> OptimWrapper:
        """Builds the wrapper."""
        inner = model.module if is_model_wrapper(model) else model
        clipped = set(inner.get_submodule(self.clip_part).parameters())
        wrapper = super().__call__(model)
        wrapper.clip_func = partial(clip_some, wrapper.clip_func, clipped)
        return wrapper


def clip_some(clip: Callable, some: set[Tensor], parameters: list[Tensor], **options) -> Tensor | None:
    """Calls one of torch's clipping functions on those parameters that are among ``some``."""
    return clip([parameter for parameter in parameters if parameter in some], **options)
