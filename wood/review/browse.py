"""Browsing in FiftyOne what pseudo-masks are made from: one dataset an experiment.

Each photograph has its seed, IR label, class boundary map, pseudo-mask and, where there is one,
true mask. The datasets are made anew each time; nothing here is the truth.
"""

import contextlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from wood.affinity.inputs import mask_values, read_seeds
from wood.affinity.ir_labels import seed_labels
from wood.data.masks import IGNORE, VOC_CLASSES, load_mask, load_target
from wood.review.database import disconnect, start_fiftyone
from wood.review.serving import free_port
from wood.runtime.errors import InputError
from wood.runtime.progress import progress
from wood.scoring.thresholds import threshold_value

if TYPE_CHECKING:
    import fiftyone as fo

MARK = "wood_browse"
LAYERS = ("seed", "ir_label", "boundary", "mask", "truth")

logger = logging.getLogger(__name__)


def browse(
    experiments: Mapping[str, Mapping[str, Any]],
    images: str | Path,
    *,
    truth: str | Path | None,
    class_names: Sequence[str],
    all_classes: Sequence[str] = VOC_CLASSES,
    dataset: str,
    database: str | Path,
    most_images: int = 500,
    address: str = "127.0.0.1",
    port: int | None = None,
    wait: bool = True,
) -> None:
    """Make the dataset `<dataset>-<experiment>` of every experiment and serve FiftyOne's App.

    Args:
        experiments: by name, `maps` (shards of localization maps), `ir_labels` and `boundaries`
            (a folder a shard), `masks` (the folder of pseudo-masks) `threshold` (of the seed,
            or the file of its choice).
        images: image list.
        truth: folder of true masks, with values of `all_classes`; or None.
        class_names: C foreground classes.
        dataset: beginning of the datasets' names.
        database: folder of the MongoDB of our own.
        most_images: images shown of each experiment, the first of its shards.
        address, port: where the App listens; without a port the first free one from 5151.
        wait: serve the App until Ctrl-C; otherwise the datasets are made and nothing is served.

    Raises:
        InputError: a broken shard or mask, a taken port, a dataset of that name that is something
            else, or a database that does not start.
    """
    port = free_port(address, port) if wait else None
    plugins = Path(database) / "plugins"
    plugins.mkdir(parents=True, exist_ok=True)
    start_fiftyone(database, plugins)
    import fiftyone as fo

    for name, files in experiments.items():
        rows = layers_of(
            files, images, truth=truth, class_names=class_names, all_classes=all_classes
        )
        show(f"{dataset}-{name}", rows, class_names, most_images)
    if port is None:
        return
    try:
        first = fo.load_dataset(f"{dataset}-{next(iter(experiments))}")
        session = fo.launch_app(first, address=address, port=port, auto=False)
        print(f"The App is at http://{address}:{port}; Ctrl-C ends it.", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            session.wait(-1)
    finally:
        disconnect()


def layers_of(
    files: Mapping[str, Any],
    images: str | Path,
    *,
    truth: str | Path | None,
    class_names: Sequence[str],
    all_classes: Sequence[str],
) -> Iterator[dict[str, Any]]:
    """Yield each image's `image_id`, `path`, `labels` and the arrays of `LAYERS`; None is missing.

    Masks are (H, W) uint8 of the 1-based classes, the boundary (h, w) uint8, 255 = certain.
    """
    threshold = threshold_value(files["threshold"])
    for number, shard in enumerate(files["maps"]):
        for seed in read_seeds(shard, images, class_names):
            name, size = f"{seed.image_id}.png", seed.maps.size
            boundary = Path(files["boundaries"][number]) / name
            target = Path(truth or "") / name
            yield {
                "image_id": seed.image_id,
                "path": seed.path,
                "labels": [class_names[index] for index in seed.maps.classes],
                "seed": mask_values(seed.maps)[seed_labels(seed.maps, threshold)],
                "ir_label": _mask(Path(files["ir_labels"][number]) / name, size),
                "boundary": np.array(Image.open(boundary)) if boundary.exists() else None,
                "mask": _mask(Path(files["masks"]) / name, size),
                "truth": load_target(target, class_names, size, all_classes)
                if truth and target.exists()
                else None,
            }


def _mask(path: Path, size: tuple[int, int]) -> np.ndarray | None:
    return load_mask(path, size) if path.exists() else None


def show(
    name: str, rows: Iterator[Mapping[str, Any]], class_names: Sequence[str], most_images: int
) -> "fo.Dataset":
    """Make the persistent dataset `name` from the first rows of `layers_of`.

    Raises:
        InputError: a dataset of that name was not made here.
    """
    import fiftyone as fo

    if fo.dataset_exists(name):
        if not fo.load_dataset(name).info.get(MARK):
            raise InputError(f"The FiftyOne dataset {name!r} is not of this pipeline's making.")
        fo.delete_dataset(name)
    dataset = fo.Dataset(name, persistent=True)
    dataset.info[MARK] = True
    values = enumerate(["background", *class_names])
    dataset.default_mask_targets = {**dict(values), IGNORE: "uncertain"}
    chosen = (row for row, _ in zip(rows, range(most_images), strict=False))
    dataset.add_samples([_sample(fo, row) for row in progress(chosen, None, name)], progress=False)
    dataset.app_config.active_fields = fo.ActiveFields(paths=["labels", "mask", "truth"])
    dataset.save()
    logger.info("%s: %d images", name, len(dataset))
    return dataset


def _sample(fo: Any, row: Mapping[str, Any]) -> "fo.Sample":
    found = {layer: row[layer] for layer in LAYERS if row[layer] is not None}
    labels = fo.Classifications(classifications=[fo.Classification(label=x) for x in row["labels"]])
    return fo.Sample(
        filepath=str(Path(row["path"]).absolute()),
        image_id=row["image_id"],
        labels=labels,
        **{
            layer: fo.Heatmap(map=values, range=[0, 255])
            if layer == "boundary"
            else fo.Segmentation(mask=values)
            for layer, values in found.items()
        },
    )
