"""Relights complete data sets in batches: resumable, shared by several processes, annotations unchanged."""

import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from sos_mm.atomic import explaining_full_disk, write_atomic
from sos_mm.checks import FaultyInputError, check_integer, check_range, require_posix
from sos_mm.composition.effects.blending import Relight
from sos_mm.composition.effects.relighting import BatchRelighter, Relighter
from sos_mm.composition.effects.step import Frame
from sos_mm.composition.scene import Light
from sos_mm.errors import ErrorCollector
from sos_mm.generation.relighting.composed_set import ComposedSet, LoadedImage, SetImage
from sos_mm.generation.relighting.guard import Guard, Verdict, judge
from sos_mm.generation.relighting.relit_set import BROKEN, RELIT, UNLIT, RelightReport, RelitSet
from sos_mm.seeding import Purpose, generator, image_id
from sos_mm.terminal import progress_bar

# Increased whenever the output bytes for given settings change.
_FORMAT = 1
# How often a batch that reads back otherwise than it was written is made again.
_REPAIRS = 2
_JPEG_QUALITY = 95
_OPTIONS = {
    ".jpg": (cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY),
    ".jpeg": (cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY),
    ".png": (cv2.IMWRITE_PNG_COMPRESSION, 1),
}


@dataclass(frozen=True)
class RelightSettings:
    """The settings of a run.

    Attributes:
        step: `Relight` or `AreaWeightedBlend`, with the relighter.
        guard: Rules by which images are accepted; None accepts all.
        seed: The seed of all draws.
        batch_size: Number of images that are relit at once.
        soften: Standard deviation of the soft edges of masks in the blend, in pixels.

    Raises:
        ValueError: If a value is out of its range.
    """

    step: Relight
    guard: Guard | None = Guard()  # noqa: RUF009 # Immutable.
    seed: int = 0
    batch_size: int = 4
    soften: float = 1.0

    def __post_init__(self):
        if not isinstance(self.step, Relight):
            raise ValueError(f"`step` must be a `Relight` or an `AreaWeightedBlend`, but got {self.step!r}.")
        check_integer("seed", self.seed, 0, 2**63 - 1)
        check_integer("batch_size", self.batch_size, 1, 4096)
        check_range("soften", self.soften, 0, 20)

    def to_json(self) -> dict[str, Any]:
        """Returns all values as JSON can hold them, with the types of the step and of the relighter."""
        relighter = {"type": type(self.step.relighter).__name__, **_plain(self.step.relighter)}
        step = {"type": type(self.step).__name__, **_plain(self.step), "relighter": relighter}
        return json.loads(
            json.dumps(
                {
                    "step": step,
                    "guard": None if self.guard is None else asdict(self.guard),
                    "seed": self.seed,
                    "batch_size": self.batch_size,
                    "soften": self.soften,
                },
                default=dict,
            )
        )


def _plain(value: Any) -> dict[str, Any]:
    return {name: getattr(value, name) for name in getattr(value, "__dataclass_fields__", ())}


def relight_dataset(
    source: str | Path,
    out: str | Path,
    settings: RelightSettings,
    *,
    broken: str = "error",
    rank: int = 0,
    world_size: int = 1,
    progress: bool = True,
) -> RelightReport:
    """Relights a composed data set into another folder, or resumes one that was interrupted.

    Annotations and all other files are copied byte for byte, except the manifest and the checksums, which are about the
    images as they were composed. An image that the guard does not accept is relit again with other draws, and finally
    kept unlit. Bytes depend only on the data set, the settings and the libraries; the batch size changes pixels by at
    most a level. A run resumes after its last complete batch.

    Args:
        source: The data set; see `ComposedSet`.
        out: A new or empty folder, or one that the same call has started.
        settings: What is done.
        broken: 'error' raises the error of the first broken image; 'skip' copies it as it is, and counts it.
        rank, world_size: Number of this process and number of processes; each has every ``world_size``-th batch. The
            last one to finish completes the data set.
        progress: Whether to show a progress bar on stderr.

    Raises:
        FileExistsError: If ``out`` holds other files, or the result of other settings.
        FileNotFoundError: If files or weights are missing.
        ValueError: If an argument or a file is invalid.
        RuntimeError: If even one image needs more memory than there is.
        OSError: If the disk is full or changes what is written; complete batches are kept.
    """
    require_posix("Relighting a data set")
    check_integer("world_size", world_size, 1, 2**20)
    check_integer("rank", rank, 0, world_size - 1)
    faults = ErrorCollector(broken)
    composed = ComposedSet(source)
    with explaining_full_disk(Path(out)):
        relit = RelitSet(out, composed, _identity(composed, settings))
        if relit.is_complete:
            return relit.report(made=0)
        relit.open()
        if relit.is_complete:
            return relit.report(made=0)
        batches = batches_of(composed.images, settings.batch_size)
        worker = _Worker(composed, relit, settings, faults)
        made, mine = 0, range(rank, len(batches), world_size)
        for _ in range(_REPAIRS + 1):
            missing = [number for number in mine if not relit.has_records(number)]
            total = sum(len(batches[number]) for number in missing)
            with progress_bar(total=total, unit="images", shown=progress) as bar:
                for number in missing:
                    worker.run(number, batches[number])
                    if relit.is_complete:
                        break
                    made += len(batches[number])
                    bar.update(len(batches[number]))
            report = relit.complete(len(batches), made)
            if report is not None:
                return report
            # Those of other processes, which may have ended, too.
            mine = range(len(batches))
    raise OSError(f"Images in {out} read back otherwise than they were written, {_REPAIRS + 1} times: check the disk.")


def batches_of(images: Sequence[SetImage], batch_size: int) -> list[list[SetImage]]:
    """Groups images of one size into batches, in the order of their names; independent of what is done already."""
    by_size: dict[tuple[int, int], list[SetImage]] = {}
    for image in images:
        by_size.setdefault(image.size, []).append(image)
    return [same[start : start + batch_size] for same in by_size.values() for start in range(0, len(same), batch_size)]


class _Worker:
    """Relights batches, and writes their images and records."""

    def __init__(self, composed: ComposedSet, relit: RelitSet, settings: RelightSettings, faults: ErrorCollector):
        self._composed, self._relit, self._settings, self._faults = composed, relit, settings, faults
        relighter = settings.step.relighter
        assert isinstance(relighter, Relighter)
        self._relighter = relighter if isinstance(relighter, BatchRelighter) else _OneByOne(relighter)
        self._limit = settings.batch_size

    def run(self, number: int, batch: Sequence[SetImage]) -> None:
        """Relights a batch; its records are written last."""
        records: dict[str, dict[str, Any]] = {}
        pending: dict[SetImage, LoadedImage] = {}
        for image in batch:
            try:
                loaded = self._composed.load(image, self._settings.soften)
            except (FaultyInputError, FileNotFoundError) as error:
                self._faults.record(error)
                records[image.name] = self._keep(image, BROKEN, str(error), [])
                continue
            if loaded.alpha.any():
                pending[image] = loaded
            else:
                records[image.name] = self._keep(image, UNLIT, "no objects", [])
        tries: dict[SetImage, list[dict[str, Any]]] = {image: [] for image in pending}
        for attempt in range(1 + (self._settings.guard.retries if self._settings.guard else 0)):
            for image, final in self._attempt(pending, attempt, tries).items():
                records[image.name] = self._write(image, final, tries[image])
                del pending[image]
            if not pending:
                break
        for image in pending:
            last = tries[image][-1]["guard"]
            reason = "objects moved" if last["moved"] else "colours lost"
            records[image.name] = self._keep(image, UNLIT, reason, tries[image])
        self._relit.write_records(number, [records[image.name] for image in batch])

    def _attempt(
        self, pending: Mapping[SetImage, LoadedImage], attempt: int, tries: Mapping[SetImage, list]
    ) -> dict[SetImage, np.ndarray]:
        """Relights the pending images once; returns those that are accepted, and notes each try."""
        lights, plans = {}, {}
        for image in pending:
            rng = generator(self._settings.seed, Purpose.RELIGHTING, image_id(image.name), attempt)
            # Drawn in any case, so that the further draws do not depend on whether the light is known.
            drawn = Light.drawn(rng)
            lights[image] = image.light or drawn
            plans[image] = self._relighter.plan(lights[image], rng)
        relit = self._in_batches(list(pending.values()), list(plans.values()))
        accepted = {}
        for (image, loaded), (pixels, size) in zip(pending.items(), relit, strict=True):
            final = finish(self._settings.step, loaded, pixels, lights[image])
            verdict = self._judge(loaded, pixels, final)
            guard = {"guard": verdict.to_json()} if verdict else {}
            tries[image].append({**plans[image], "batch": size, **guard})
            if verdict is None or verdict.accepted:
                accepted[image] = final
        return accepted

    def _judge(self, loaded: LoadedImage, relit: np.ndarray, final: np.ndarray) -> Verdict | None:
        if self._settings.guard is None:
            return None
        return judge(self._settings.guard, loaded.pixels, relit, final, loaded.objects)

    def _in_batches(
        self, images: Sequence[LoadedImage], plans: Sequence[Mapping[str, Any]]
    ) -> list[tuple[np.ndarray, int]]:
        """Relights images; halves the batch where memory does not suffice. Returns each with its batch's size."""
        done: list[tuple[np.ndarray, int]] = []
        while len(done) < len(images):
            part = slice(len(done), len(done) + self._limit)
            pixels, alphas = [each.pixels for each in images[part]], [each.alpha for each in images[part]]
            try:
                relit = self._relighter.relight_batch(pixels, alphas, plans[part])
            except MemoryError as error:
                if len(pixels) == 1:
                    raise RuntimeError(
                        f"{error} Even one image is too large: reduce `max_side`, or set `dtype` to half precision."
                    ) from error
                self._limit = max(len(pixels) // 2, 1)
                print(f"{error} Going on with {self._limit} at once.", file=sys.stderr, flush=True)
                continue
            done += [(each, len(pixels)) for each in relit]
        return done

    def _write(self, image: SetImage, final: np.ndarray, tries: list[dict[str, Any]]) -> dict[str, Any]:
        suffix = Path(image.name).suffix.lower()
        pixels = cv2.cvtColor(final, cv2.COLOR_RGB2BGR)
        content = cv2.imencode(suffix, pixels, _OPTIONS.get(suffix, ()))[1].tobytes()
        write_atomic(self._relit.place(image), content)
        return {"file_name": image.name, "status": RELIT, "sha256": hashlib.sha256(content).hexdigest(), "tries": tries}

    def _keep(self, image: SetImage, status: str, reason: str, tries: list[dict[str, Any]]) -> dict[str, Any]:
        """Copies an image as it is; one that does not exist stays missing."""
        sha256 = self._relit.keep(image)
        return {"file_name": image.name, "status": status, "reason": reason, "sha256": sha256, "tries": tries}


class _OneByOne:
    """Gives a relighter that knows no batches their interface: the draws of an image are a light and a seed."""

    def __init__(self, relighter: Relighter):
        self._relighter = relighter

    def plan(self, light: Light, rng: np.random.Generator) -> dict[str, Any]:
        return {**asdict(light), "seed": int(rng.integers(2**53))}

    def relight_batch(
        self, images: Sequence[np.ndarray], alphas: Sequence[np.ndarray], plans: Sequence[Mapping[str, Any]]
    ) -> list[np.ndarray]:
        return [self._relight(*each) for each in zip(images, alphas, plans, strict=True)]

    def _relight(self, image: np.ndarray, alpha: np.ndarray, plan: Mapping[str, Any]) -> np.ndarray:
        rng = np.random.Generator(np.random.Philox(plan["seed"]))
        return self._relighter.relight(image, alpha, Light(plan["azimuth"], plan["elevation"]), rng)


@dataclass(frozen=True, eq=False)
class _Given:
    """A relighter whose image is given."""

    relit: np.ndarray

    def relight(self, image: np.ndarray, alpha: np.ndarray, light: Light, rng: np.random.Generator) -> np.ndarray:
        return self.relit


def finish(step: Relight, loaded: LoadedImage, relit: np.ndarray, light: Light) -> np.ndarray:
    """Applies the engine's own step, such as the area-weighted blend, to an image that is relit already.

    Args:
        step: The step; its relighter is not called.
        loaded: The image before, with its objects.
        relit: (H, W, 3) uint8 RGB.
        light: The light of the scene.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        ValueError: If the relit image has another shape or type.
    """
    frame = Frame(loaded.pixels.copy(), light)
    # These steps draw nothing beside what the relighter draws.
    replace(step, relighter=_Given(relit)).finish(loaded.sprites, frame, np.random.Generator(np.random.Philox(0)))
    return frame.image


def _identity(composed: ComposedSet, settings: RelightSettings) -> dict[str, Any]:
    """Returns what identifies a run: the settings, and a hash of the annotations."""
    annotations = hashlib.sha256(composed.source.read_bytes()).hexdigest()
    return {"format": _FORMAT, "source_sha256": annotations, "images": len(composed.images), **settings.to_json()}
