"""Several hypotheses of what is salient: an ensemble's members, clustered into distinct masks with their shares."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from sos_mm.checks import check_choice, check_integer, check_range

# Two masks are one hypothesis from this IoU on, the usual limit of a match.
MIN_IOU = 0.5
REDUCTIONS = ("mean", "median")


@dataclass(frozen=True, eq=False)
class Hypothesis:
    """One of several masks of what is salient.

    Attributes:
        saliency: (H, W) float32 in [0, 1], reduced over the members that agree.
        share: Share of all members that are counted to it, in (0, 1]; the shares of an image's hypotheses sum to 1.
    """

    saliency: np.ndarray
    share: float

    @property
    def alpha(self) -> np.ndarray:
        """Returns the saliency map as (H, W) uint8."""
        return np.rint(self.saliency * 255).astype(np.uint8)


class Agreement(NamedTuple):
    """Members of an ensemble that agree.

    Attributes:
        members: Their indices, ascending; each two of their masks have at least the limit's IoU.
        share: Share of all members, those included whose own mask was dropped and that overlap this one most.
    """

    members: tuple[int, ...]
    share: float


def find_hypotheses(
    maps: np.ndarray,
    number: int = 3,
    min_iou: float = MIN_IOU,
    threshold: float = 0.5,
    reduction: str = "mean",
) -> list[Hypothesis]:
    """Clusters saliency maps of one image into distinct hypotheses.

    The maps may be those of an ensemble, of several seeds, or of several models.

    Args:
        maps: (N, H, W) float in [0, 1].
        number: Most hypotheses, at least 1.
        min_iou: See `cluster_masks`.
        threshold: A map's mask is where it is above this.
        reduction: How the maps of members that agree become one, pixel by pixel: ``mean`` or ``median`` (of an even
            number the lower of the two in the middle).

    Returns:
        The hypotheses, the largest share first.

    Raises:
        ValueError: If the maps' shape, type or range, or a setting is wrong.
    """
    maps = np.asarray(maps)
    if maps.ndim != 3 or not len(maps) or not np.issubdtype(maps.dtype, np.floating):
        raise ValueError(f"`maps` must be floats of shape (N, H, W), N at least 1, but got {maps.dtype} {maps.shape}.")
    if not (maps.min(initial=0) >= 0 and maps.max(initial=0) <= 1):
        raise ValueError(f"`maps` must be in [0, 1], but got values from {maps.min()} to {maps.max()}.")
    check_choice("reduction", reduction, REDUCTIONS)
    check_range("threshold", threshold, 0, 1)
    found = []
    for members, share in cluster_masks(maps > threshold, number, min_iou):
        agreeing = maps[list(members)]
        middle = agreeing.mean(0) if reduction == "mean" else np.sort(agreeing, 0)[(len(members) - 1) // 2]
        found.append(Hypothesis(middle.astype(np.float32), share))
    return found


def check_hypotheses(number: int, min_iou: float, place: str = "") -> None:
    """Raises ValueError unless ``number`` is at least 1 and ``min_iou`` in (0, 1].

    Args:
        number: See `cluster_masks`.
        min_iou: See `cluster_masks`.
        place: Prefix of the names in error messages, such as 'test_cfg.hypotheses.'.
    """
    check_integer(f"{place}number", number, 1, 2**31)
    check_range(f"{place}min_iou", min_iou, 0, 1)
    if min_iou == 0:
        raise ValueError(f"`{place}min_iou` must be above 0, but got 0: masks without overlap would be one hypothesis.")


def cluster_masks(masks: np.ndarray, number: int = 3, min_iou: float = MIN_IOU) -> list[Agreement]:
    """Clusters masks by complete linkage: two clusters become one while all of their masks overlap enough.

    The pair of clusters whose least IoU is largest is merged first, of equal ones that with the lowest indices, until
    no pair has ``min_iou``. Of more clusters than ``number`` the largest are kept; each member of another is
    counted to the cluster that it overlaps most on average (of equals the larger one), and takes no part in its mask.

    Args:
        masks: (N, H, W) bool.
        number: Most clusters, at least 1.
        min_iou: Least IoU of any two masks of a cluster, in (0, 1]. Two empty masks have an IoU of 1.

    Returns:
        The clusters, the largest share first, of equal ones that with the lowest index; the shares sum to 1.

    Raises:
        ValueError: If the masks' shape or type, or a setting is wrong.
    """
    masks = np.asarray(masks)
    if masks.ndim != 3 or not len(masks) or masks.dtype != np.bool_:
        got = f"{masks.dtype} {masks.shape}"
        raise ValueError(f"`masks` must be booleans of shape (N, H, W), N at least 1, but got {got}.")
    check_hypotheses(number, min_iou)
    overlaps = pairwise_iou(masks)
    groups = sorted(complete_linkage(overlaps, min_iou), key=lambda group: (-len(group), group[0]))
    kept, counts = groups[:number], [len(group) for group in groups[:number]]
    for member in (member for group in groups[number:] for member in group):
        counts[int(np.argmax([overlaps[member, group].mean() for group in kept]))] += 1
    ordered = sorted(zip(kept, counts, strict=True), key=lambda pair: (-pair[1], pair[0][0]))
    return [Agreement(tuple(group), count / len(masks)) for group, count in ordered]


def pairwise_iou(masks: np.ndarray) -> np.ndarray:
    """Computes the IoU of every two masks: (N, H, W) bool -> (N, N) float64; two empty masks have 1."""
    flat = masks.reshape(len(masks), -1)
    both = np.array([np.count_nonzero(flat & mask, axis=1) for mask in flat], np.float64)
    areas = np.diag(both)
    either = areas[:, None] + areas - both
    return np.divide(both, either, out=np.ones_like(both), where=either > 0)


def complete_linkage(similarity: np.ndarray, least: float) -> list[list[int]]:
    """Merges the most similar two groups, similar as their least similar members, until none are similar enough.

    Args:
        similarity: (N, N), symmetric.
        least: Least similarity of any two members of a group.

    Returns:
        The groups, each ascending.
    """
    groups = [[index] for index in range(len(similarity))]
    linkage = similarity.astype(np.float64)
    np.fill_diagonal(linkage, -np.inf)
    while len(groups) > 1:
        first, second = sorted(map(int, np.unravel_index(linkage.argmax(), linkage.shape)))
        if linkage[first, second] < least:
            break
        merged = np.minimum(linkage[first], linkage[second])
        linkage[first], linkage[:, first] = merged, merged
        linkage = np.delete(np.delete(linkage, second, 0), second, 1)
        linkage[first, first] = -np.inf
        groups[first] = sorted(groups[first] + groups.pop(second))
    return groups
