"""Features of two classes and of their OoD images at each epoch of a W-OoD training (Fig. 7)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from wood.data.labels import label_matrix, read_labels
from wood.models.classifiers import load_to_predict
from wood.ood.images import in_images, ood_images
from wood.runtime.devices import find_device
from wood.runtime.errors import InputError
from wood.runtime.store import save_tensors
from wood.seeds.features import image_features

PAPER_PAIR = ("train", "bird")


def choose_pair(
    asked: Sequence[str] | None, counts: Mapping[str, int], source: str
) -> tuple[str, str]:
    """Return the two classes: those asked for, else the paper's, else those with most OoD images.

    Args:
        asked: two classes, or None.
        counts: OoD images by the class that F_in takes them for.
        source: what the sentence calls the list of OoD images.

    Raises:
        InputError: one of the two has no OoD image, or fewer than two classes have.
    """
    if asked is None and all(counts.get(name) for name in PAPER_PAIR):
        return PAPER_PAIR
    most = sorted((name for name in counts if counts[name]), key=lambda name: (-counts[name], name))
    pair = list(asked) if asked is not None else most[:2]
    without = [name for name in pair if not counts.get(name)]
    if without:
        raise InputError(f"{source}: no OoD image is taken for {without[0]!r} (figure7.classes).")
    if len(pair) < 2:
        raise InputError(f"{source}: Fig. 7 needs OoD images of two classes.")
    return pair[0], pair[1]


def extract_epoch_features(
    images: str | Path,
    labels: str | Path,
    ood_list: str | Path,
    start: str | Path,
    epochs: str | Path,
    output: str | Path,
    *,
    classes: Sequence[str] | None,
    count: int,
    wood: Mapping[str, Any],
    data: Mapping[str, Any],
    seed: int,
    long_side: int,
    max_batch_pixels: int,
    max_failed_fraction: float,
) -> None:
    """Write z (N, D) of the same N images before W-OoD's training and after each of its epochs.

    Args:
        images, labels: image list and image-level labels of D_in.
        ood_list: hard OoD images with the `class` that F_in takes each for.
        start: the classifier before the training, epoch 0.
        epochs: folder of the classifiers after each epoch, `epoch-<n>.safetensors`.
        output: safetensors with `epoch-<n>`; the metadata has `images`, and of each its `class_of`
            and `domain_of` ("in" or "ood").
        classes: two classes, see `choose_pair`.
        count: at most so many images of each of the four sets, drawn by `seed`.
        wood, data: settings of the classifier, see `ood_images`.
        long_side, max_batch_pixels, max_failed_fraction: how whole images are taken.

    Raises:
        InputError: no epoch was kept, no image has one of the classes alone, or a bad list.
    """
    found = sorted(Path(epochs).glob("epoch-*.safetensors"), key=_epoch)
    if not found:
        raise InputError(f"{epochs}: no epoch was kept; the classifier needs `keep_epochs: true`.")
    outside = ood_images(ood_list, wood, data)
    if "class" not in outside.columns:
        raise InputError(f"{ood_list}: the column 'class' is missing.")
    inside = in_images(images, data)
    pair = choose_pair(classes, outside["class"].value_counts().to_dict(), str(ood_list))
    alone = _alone(inside, pair, images, labels)
    sets = _draw_sets(alone, outside, count, np.random.default_rng(seed))
    whole = {
        "long_side": long_side,
        "max_batch_pixels": max_batch_pixels,
        "max_failed_fraction": max_failed_fraction,
    }
    tensors, rows = {}, []
    for epoch, path in enumerate([start, *found]):
        model, _ = load_to_predict(path, find_device())
        parts = [(*of, *image_features(model, chosen, **whole)) for *of, chosen in sets]
        tensors[f"epoch-{epoch}"] = torch.cat([features for _, _, _, features, _ in parts])
        rows = [(name, domain, one) for name, domain, ids, _, _ in parts for one in ids]
    class_of, domain_of, ids = (list(column) for column in zip(*rows, strict=True))
    listed = {"images": ids, "class_of": class_of, "domain_of": domain_of}
    save_tensors(output, tensors, {**listed, "classes": list(pair)})


def _alone(
    inside: pd.DataFrame, pair: tuple[str, str], images: str | Path, labels: str | Path
) -> dict[str, pd.DataFrame]:
    """Return, for each of two classes, the images of D_in that show it and not the other."""
    known = read_labels(labels)
    has = label_matrix(known, list(inside["image_id"]), labels).numpy() > 0
    columns = [list(known.columns).index(name) for name in pair]
    found = {}
    for name, own, other in zip(pair, columns, reversed(columns), strict=True):
        found[name] = inside[has[:, own] & ~has[:, other]]
        if found[name].empty:
            raise InputError(
                f"{images}: no image shows {name!r} without {pair[pair[0] == name]!r}."
            )
    return found


def _draw_sets(
    alone: Mapping[str, pd.DataFrame], outside: pd.DataFrame, count: int, rng: np.random.Generator
) -> list[tuple[str, str, pd.DataFrame]]:
    """Draw at most `count` images of each class, of D_in and of D_ood: class, domain, images."""
    return [
        (name, domain, _draw(those, count, rng))
        for name, inside in alone.items()
        for domain, those in (("in", inside), ("ood", outside[outside["class"] == name]))
    ]


def _epoch(path: Path) -> int:
    return int(path.stem.removeprefix("epoch-"))


def _draw(images: pd.DataFrame, count: int, rng: np.random.Generator) -> pd.DataFrame:
    """Return at most `count` images, drawn at random, in their order."""
    places = np.sort(rng.permutation(len(images))[:count])
    return images.iloc[places].reset_index(drop=True)
