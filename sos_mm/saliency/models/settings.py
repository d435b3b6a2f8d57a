"""The ``test_cfg`` of saliency models: its defaults and its checks."""

from collections.abc import Mapping
from typing import Any

from sos_mm.checks import RENAMED_TEST_CFG, check_choice, check_range, present_names
from sos_mm.cutouts.hypotheses import MIN_IOU, check_hypotheses

DEFAULTS = dict(
    num_inference_steps=10,
    ensemble_size=1,
    reduction="mean",
    seed=0,
    noise="normal",
    scheduler=None,
    threshold=0.5,
    source="diffusion",
    stretch=None,
    upsampling="bilinear",
    tile=None,
    hypotheses=None,
)
CHOICES = dict(
    source=("diffusion", "auxiliary"),
    noise=("normal", "zero"),
    reduction=("mean", "median"),
    upsampling=("bilinear", "bicubic"),
)
STRETCHES = (None, "member", "result", "released")


def checked_test_cfg(test_cfg: Mapping[str, Any], base: Mapping[str, Any] = DEFAULTS) -> dict[str, Any]:
    """Checks ``test_cfg`` and adds missing settings.

    Args:
        test_cfg: Settings, under their present or old names.
        base: Values of missing settings.

    Raises:
        ValueError: If a key is unknown or given under both of its names, a value out of range, or an ensemble would
            have equal members.
    """
    test_cfg = present_names(test_cfg, RENAMED_TEST_CFG, "test_cfg.")
    for key in test_cfg:
        check_choice("test_cfg key", key, DEFAULTS)
    complete = {**base, **test_cfg}
    for key, choices in CHOICES.items():
        check_choice(f"test_cfg.{key}", complete[key], choices)
    for key in ("num_inference_steps", "ensemble_size"):
        if complete[key] < 1:
            raise ValueError(f"`test_cfg.{key}` must be at least 1, but got {complete[key]}.")
    if complete["noise"] == "zero" and complete["ensemble_size"] > 1:
        raise ValueError(
            f"`test_cfg.ensemble_size` must be 1 with `noise='zero'`, but got {complete['ensemble_size']}: "
            "members differ by nothing but their noise."
        )
    check_range("test_cfg.threshold", complete["threshold"], 0, 1)
    complete["stretch"] = checked_stretch(complete["stretch"])
    if complete["tile"] is not None:
        complete["tile"] = checked_tile(complete["tile"])
    if complete["hypotheses"] is not None:
        complete["hypotheses"] = checked_hypotheses(complete["hypotheses"], complete["ensemble_size"])
    return complete


def checked_stretch(stretch: str | bool | None) -> str | None:
    """Checks ``test_cfg.stretch``; converts the old values True and False to ``result`` and None.

    Raises:
        ValueError: If it is none of the choices.
    """
    if isinstance(stretch, bool):
        return "result" if stretch else None
    check_choice("test_cfg.stretch", stretch, STRETCHES)
    return stretch


def checked_hypotheses(hypotheses: dict, ensemble_size: int) -> dict:
    """Completes ``test_cfg.hypotheses``.

    Raises:
        ValueError: If a key is unknown, a value out of range, or there are fewer members than hypotheses.
    """
    for key in hypotheses:
        check_choice("test_cfg.hypotheses key", key, ("number", "min_iou"))
    complete = {"number": 3, "min_iou": MIN_IOU, **hypotheses}
    check_hypotheses(**complete, place="test_cfg.hypotheses.")
    least = max(2, complete["number"])
    if ensemble_size < least:
        raise ValueError(
            f"`test_cfg.ensemble_size` (`--ensemble-size`) must be at least {least} for "
            f"{complete['number']} hypotheses, but got {ensemble_size}: they are found among an ensemble's members, "
            "and 10 or more give useful shares."
        )
    return complete


def checked_tile(tile: dict) -> dict:
    """Completes ``test_cfg.tile``.

    Raises:
        ValueError: If a key is unknown or missing, or a value out of range.
    """
    for key in tile:
        check_choice("test_cfg.tile key", key, ("size", "overlap"))
    if "size" not in tile:
        raise ValueError("`test_cfg.tile` must have a `size`, the side of a tile in pixels.")
    complete = dict(overlap=0.25, **tile) if "overlap" not in tile else dict(tile)
    check_range("test_cfg.tile.overlap", complete["overlap"], 0, 0.9)
    return complete
