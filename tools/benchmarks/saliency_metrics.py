"""Times the saliency metrics against PySODMetrics on the same pairs, in the same run, on one core."""

import argparse
import os
import warnings
from collections.abc import Callable
from functools import partial
from time import process_time

import cv2
import numpy as np
from py_sod_metrics import MAE, Emeasure, Fmeasure, Smeasure, WeightedFmeasure

from sos_mm.metrics import (
    adaptive_scores,
    level_counts,
    mean_absolute_error,
    prepare,
    s_measure,
    score_image,
    threshold_curves,
    weighted_f_measure,
)

Pair = tuple[np.ndarray, np.ndarray]


def main() -> None:
    """Prints milliseconds per image of both, and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--pairs", type=int, default=50, help="number of random pairs")
    parser.add_argument("--height", type=int, default=300, help="height of the maps")
    parser.add_argument("--width", type=int, default=400, help="width of the maps")
    parser.add_argument("--rounds", type=int, default=5, help="passes over the pairs; the fastest counts")
    parser.add_argument("--seed", type=int, default=0, help="seed of the pairs")
    args = parser.parse_args()

    use_one_core()
    rng = np.random.default_rng(args.seed)
    pairs = [random_pair(rng, args.height, args.width) for _ in range(args.pairs)]
    print(f"{args.pairs} pairs of {args.height}x{args.width}, one core, ms per image\n")
    print(f"{'metric':<24}{'PySODMetrics':>14}{'sos_mm':>10}{'ratio':>8}")
    for name, (peer, ours) in contests().items():
        # Alternating, so that other load on the machine affects both.
        times = [(milliseconds(peer, pairs), milliseconds(ours, pairs)) for _ in range(args.rounds)]
        best_peer, best_ours = (min(column) for column in zip(*times, strict=True))
        print(f"{name:<24}{best_peer:>14.2f}{best_ours:>10.2f}{best_peer / best_ours:>7.1f}x")


def use_one_core() -> None:
    """Pins this process to one core, where the system supports it, and OpenCV to one thread."""
    cv2.setNumThreads(1)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def contests() -> dict[str, tuple[list[Callable], list[Callable]]]:
    """Returns the timed steps by name, those of the peer and ours."""
    # It warns that its F-measure will be replaced by another class, which is slower.
    warnings.filterwarnings("ignore", message="This class will be removed")
    common = [MAE().step, Smeasure().step, Emeasure().step, Fmeasure().step]

    def curves(prediction: np.ndarray, target: np.ndarray) -> None:
        pair = prepare(prediction, target)
        adaptive_scores(pair)
        threshold_curves(level_counts(pair))

    return {
        "MAE": ([MAE().step], [lambda p, t: mean_absolute_error(prepare(p, t))]),
        "S": ([Smeasure().step], [lambda p, t: s_measure(prepare(p, t))]),
        "E and F": ([Emeasure().step, Fmeasure().step], [curves]),
        "weighted F": ([WeightedFmeasure().step], [lambda p, t: weighted_f_measure(prepare(p, t))]),
        "all without weighted F": (common, [partial(score_image, weighted=False)]),
        "all": ([*common, WeightedFmeasure().step], [score_image]),
    }


def random_pair(rng: np.random.Generator, height: int, width: int) -> Pair:
    """Generates an ellipse as mask, and its blurred and noisy copy as prediction; both uint8."""
    target = np.zeros((height, width), np.uint8)
    center = (int(rng.integers(width)), int(rng.integers(height)))
    axes = (int(rng.integers(width // 10, width // 3)), int(rng.integers(height // 10, height // 3)))
    cv2.ellipse(target, center, axes, rng.uniform(0, 180), 0, 360, 255, -1)
    noisy = cv2.GaussianBlur(target, (0, 0), 5) + rng.normal(0, 8, target.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8), target


def milliseconds(steps: list[Callable[[np.ndarray, np.ndarray], object]], pairs: list[Pair]) -> float:
    """Returns the mean processor time of all steps on a pair."""
    start = process_time()
    for prediction, target in pairs:
        for step in steps:
            step(prediction, target)
    return (process_time() - start) * 1000 / len(pairs)


if __name__ == "__main__":
    main()
