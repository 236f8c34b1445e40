"""Foreground scores p(c) of the candidate images by the in-distribution classifier (Sec. 3.1)."""

import logging
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from wood.data.groups import of_one_size
from wood.data.images import load_image
from wood.data.transforms import resize_long_side
from wood.models.cam import CamClassifier
from wood.models.classifiers import load_to_predict
from wood.runtime.devices import autocast, find_device
from wood.runtime.errors import InputError
from wood.runtime.progress import progress
from wood.runtime.store import read_table, save_tensors, write_table

logger = logging.getLogger(__name__)

COLUMNS = ["image_id", "path", "split", "class", "score"]


@dataclass
class Rates:
    """What limits the scoring: seconds of the whole, in the network, and of threads decoding."""

    images: int
    whole: float = 0.0
    network: float = 0.0
    decoding: float = 0.0

    def log(self, workers: int) -> None:
        """Say images/s of each; the network waits where decoding, times the threads, is slower."""
        whole, network, decoding = (
            self.images / max(seconds, 1e-9)
            for seconds in (self.whole, self.network, self.decoding)
        )
        busy = 100 * self.network / max(self.whole, 1e-9)
        logger.info(
            "%d images in %.1f s, %.1f images/s; the network alone %.1f images/s, busy %.0f%%; "
            "decoding %.1f images/s a thread, %d threads",
            *(self.images, self.whole, whole, network, busy, decoding, workers),
        )


@dataclass(frozen=True)
class Loaded:
    """One resized image: its row in the manifest and its pixels (3, H, W) uint8; None if bad.

    Decoding and resizing took a thread `seconds` of processor time.
    """

    row: int
    pixels: Tensor | None
    seconds: float = 0.0


def score_images(
    manifest: str | Path,
    classifier: str | Path,
    output: str | Path,
    features: str | Path | None = None,
    *,
    long_side: int,
    mirror: bool = False,
    max_batch_pixels: int = 32 * 224 * 224,
    workers: int = 2,
    max_failed_fraction: float = 0.01,
) -> pd.DataFrame:
    """Score the images of one manifest: p(c) = sigmoid(logit of c), whole image, one scale.

    Args:
        manifest: what `download_images` wrote; only images with the status "ok" are scored.
        classifier: weights of F_in.
        output: Parquet, in the order of the manifest: `COLUMNS`, where class is the one with the
            highest score and score is max_c p(c), then one float32 column per class.
        features: safetensors of z, what the head pools, of the same images: `features` (N, D)
            float16, `image_ids` in the metadata. The review puts similar images together by it.
        long_side: pixels to which the longer side is resized, smaller images too.
        mirror: average p(c) over each image and its mirror image.
        max_batch_pixels: pixels of the images of one size that go through the network at once.
        workers: threads that decode and resize ahead of the network.
        max_failed_fraction: share of unreadable images past which the stage fails; the others are
            logged and left out.

    Raises:
        InputError: there is no image to score, or too many are unreadable.
    """
    device = find_device()
    model, metadata = load_to_predict(classifier, device)
    names = list(metadata["class_names"])
    images = read_table(manifest, ["image_id", "path", "split", "status"])
    images = images[images["status"] == "ok"].reset_index(drop=True)
    if images.empty:
        raise InputError(f"{manifest}: there is no image to score.")
    scores = np.full((len(images), len(names)), np.nan, dtype=np.float32)
    pooled = np.zeros((len(images), model.head.in_channels), dtype=np.float16)
    loader = load_ahead(images["path"], long_side, workers)
    shown = progress(loader, len(images), "scoring")
    rates = Rates(len(images))
    started = time.monotonic()
    for rows, pixels in batches(_timed(shown, rates), max_batch_pixels):
        before = time.monotonic()
        scores[rows], pooled[rows] = _score(model, pixels, device, mirror)
        rates.network += time.monotonic() - before
    rates.whole = time.monotonic() - started
    rates.log(workers)
    table = _table(images, scores, names)
    _check_failed(manifest, len(images) - len(table), len(images), max_failed_fraction)
    write_table(output, table)
    if features is not None:
        kept = images["image_id"].isin(table["image_id"]).to_numpy()
        ids = {"image_ids": list(table["image_id"])}
        save_tensors(features, {"features": pooled[kept]}, ids)
    return table


@torch.inference_mode()
def _score(
    model: CamClassifier, pixels: Tensor, device: torch.device, mirror: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return p(c) (B, C) float32 and z (B, D) float16 of (B, 3, H, W) uint8 pixels."""
    mean, std = (
        torch.tensor(values, device=device).view(1, 3, 1, 1) * 255
        for values in (model.backbone.mean, model.backbone.std)
    )
    with autocast(device):
        batch = pixels.to(device).to(memory_format=torch.channels_last)
        batch = (batch - mean) / std
        logits, z = model(batch)
        p = logits.float().sigmoid()
        if mirror:
            p = (p + model(batch.flip(-1))[0].float().sigmoid()) / 2
    return p.cpu().numpy(), z.to(torch.float16).cpu().numpy()


def _check_failed(manifest: str | Path, failed: int, total: int, most: float) -> None:
    if failed > most * total:
        raise InputError(
            f"{manifest}: {failed} of {total} images are unreadable, more than "
            f"max_failed_fraction {most:g} allows."
        )


def _table(images: pd.DataFrame, scores: np.ndarray, names: Sequence[str]) -> pd.DataFrame:
    readable = ~np.isnan(scores).any(axis=1)
    kept, scores = images[readable].reset_index(drop=True), scores[readable]
    kept = kept.assign(score=scores.max(axis=1, initial=0))
    kept["class"] = np.asarray(names, dtype=object)[scores.argmax(axis=1)]
    columns = pd.DataFrame(scores, columns=list(names))
    return pd.concat([kept[COLUMNS], columns], axis=1)


def load_ahead(paths: Sequence[str], long_side: int, workers: int) -> Iterator[Loaded]:
    """Yield the images in their order, resized by threads that run ahead; bad ones are logged."""
    ahead = 16 * workers
    waiting: deque[tuple[int, Future[tuple[Tensor, float]]]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        for row, path in enumerate(paths):
            waiting.append((row, pool.submit(_load_timed, path, long_side)))
            if len(waiting) > ahead:
                yield _result(*waiting.popleft())
        while waiting:
            yield _result(*waiting.popleft())


def _load_timed(path: str, long_side: int) -> tuple[Tensor, float]:
    started = time.thread_time()
    return load_resized(path, long_side), time.thread_time() - started


def _timed(images: Iterable[Loaded], rates: Rates) -> Iterator[Loaded]:
    for image in images:
        rates.decoding += image.seconds
        yield image


def _result(row: int, future: "Future[tuple[Tensor, float]]") -> Loaded:
    try:
        return Loaded(row, *future.result())
    except InputError as error:
        logger.warning("%s It is skipped.", error)
        return Loaded(row, None)


def load_resized(path: str | Path, long_side: int) -> Tensor:
    """Return the image as (3, H, W) uint8 with max(H, W) = `long_side`.

    A JPEG is decoded at twice that size at least, in half the time of its whole size.

    Raises:
        InputError: the image is unreadable.
    """
    image = resize_long_side(load_image(path, at_least=2 * long_side), long_side)
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def batches(images: Iterable[Loaded], max_pixels: int) -> Iterator[tuple[list[int], Tensor]]:
    """Group images of one size; yield their rows and a (B, 3, H, W) uint8 tensor.

    A batch has at most `max_pixels` pixels, and at least one image. Unreadable images are in none.
    `wood.data.groups.of_one_size` says how many images wait meanwhile.
    """
    readable = (image for image in images if image.pixels is not None)
    for group in of_one_size(readable, _size, max_pixels):
        yield [image.row for image in group], torch.stack([image.pixels for image in group])


def _size(image: Loaded) -> tuple[int, int]:
    _, height, width = image.pixels.shape
    return height, width
