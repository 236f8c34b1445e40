"""Browsing in FiftyOne what pseudo-masks are made from: one dataset, experiments as its fields.

Each photograph has its true mask, where there is one, and of every experiment the seed, IR label,
class boundary map, pseudo-mask and their IoU. The dataset is made anew each time; nothing here is
the truth.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from wood.affinity.inputs import read_seeds
from wood.data.masks import IGNORE, VOC_CLASSES, VOC_PALETTE, load_mask, load_target
from wood.review.database import disconnect, only_one, start_fiftyone, use_database
from wood.review.serving import (
    app_server,
    foreground,
    free_port,
    page_address,
    wait_until_interrupted,
)
from wood.runtime.errors import InputError
from wood.runtime.progress import progress
from wood.scoring.thresholds import threshold_value

if TYPE_CHECKING:
    import fiftyone as fo

MARK = "wood_browse"
ADDRESS = "127.0.0.1"
MOST_IMAGES = 500  # of an experiment that are shown, the first of its shards
LAYERS = ("seed", "ir_label", "boundary", "mask")


def browse(
    experiments: Mapping[str, Mapping[str, Any]],
    images: str | Path,
    *,
    truth: str | Path | None,
    class_names: Sequence[str],
    all_classes: Sequence[str] = VOC_CLASSES,
    dataset: str,
    database: str | Path,
    port: int | None = None,
    wait: bool = True,
) -> None:
    """Make the dataset `dataset` with fields of every experiment and serve FiftyOne's App.

    Args:
        experiments: by name, `maps` (shards of localization maps), `ir_labels` and `boundaries`
            (a folder a shard), `masks` (the folder of pseudo-masks) and `threshold` (of the seed).
        images: image list.
        truth: folder of true masks, with values of `all_classes`; or None.
        class_names: C foreground classes.
        dataset: the dataset's name.
        database: folder of the MongoDB of our own.
        port: where the App listens; without one the first free port from 5151.
        wait: serve the App until Ctrl-C; otherwise the dataset is made and nothing is served.

    Raises:
        InputError: a broken shard or mask, a taken port, a dataset of that name that is something
            else, or a database that does not start or is another's.
    """
    port = free_port(ADDRESS, port) if wait else None
    plugins = Path(database) / "plugins"
    page = "" if port is None else page_address(dataset, ADDRESS, port)
    with only_one(database, page), foreground():
        plugins.mkdir(parents=True, exist_ok=True)
        use_database(database, plugins)
        start_fiftyone(database)
        try:
            shown = make_dataset(dataset, class_names)
            for name, files in experiments.items():
                rows = layers_of(
                    files, images, truth=truth, class_names=class_names, all_classes=all_classes
                )
                add_experiment(shown, name, islice(rows, MOST_IMAGES))
            compare(shown, list(experiments), class_names)
            if port is not None:
                with app_server(ADDRESS, port) as server:
                    server.serve()
                    print(f"The App is at {page}; Ctrl-C ends it.", flush=True)
                    wait_until_interrupted(ADDRESS, port, "run the same command again.")
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
    """Yield each image's `image_id`, `path`, `labels` and the arrays of `LAYERS` and `truth`.

    What is missing is None. Masks are (H, W) uint8 of the 1-based classes, the boundary (h, w)
    uint8, 255 = certain.
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
                "seed": seed.maps.seed(threshold),
                "ir_label": _mask(Path(files["ir_labels"][number]) / name, size),
                "boundary": np.array(Image.open(boundary)) if boundary.exists() else None,
                "mask": _mask(Path(files["masks"]) / name, size),
                "truth": load_target(target, class_names, size, all_classes)
                if truth and target.exists()
                else None,
            }


def _mask(path: Path, size: tuple[int, int]) -> np.ndarray | None:
    return load_mask(path, size) if path.exists() else None


def make_dataset(name: str, class_names: Sequence[str]) -> "fo.Dataset":
    """Make the persistent dataset `name` without samples, a colour for each class.

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
    values = dict(enumerate(["background", *class_names]))
    dataset.default_mask_targets = {**values, IGNORE: "uncertain"}
    colors = np.reshape(VOC_PALETTE, (-1, 3))
    dataset.app_config.color_scheme = fo.ColorScheme(
        color_by="value",
        default_mask_targets_colors=[
            {"intTarget": value, "color": "#{:02x}{:02x}{:02x}".format(*colors[value])}
            for value in dataset.default_mask_targets
        ],
    )
    dataset.add_sample_field("image_id", fo.StringField)
    dataset.create_index("image_id", unique=True)
    dataset.save()
    return dataset


def field(layer: str, experiment: str) -> str:
    """Return the name of an experiment's field; other signs than letters and digits are "_"."""
    return f"{layer}_{re.sub('[^0-9A-Za-z]', '_', experiment)}"


def add_experiment(
    dataset: "fo.Dataset", experiment: str, rows: Iterator[Mapping[str, Any]]
) -> None:
    """Add the layers of one experiment to the samples, and samples that are not there yet."""
    import fiftyone as fo

    for row in progress(rows, None, experiment):
        image = row["image_id"]
        found = dataset.match({"image_id": image}).limit(1)
        sample = found.first() if len(found) else _new_sample(fo, row)
        for layer in LAYERS:
            if row[layer] is not None:
                kind = fo.Heatmap if layer == "boundary" else fo.Segmentation
                content = {"map": row[layer], "range": [0, 255]}
                content = content if layer == "boundary" else {"mask": row[layer]}
                sample[field(layer, experiment)] = kind(**content)
        if row["truth"] is not None and row["mask"] is not None:
            sample[field("iou", experiment)] = image_iou(row["truth"], row["mask"])
        if len(found):
            sample.save()
        else:
            dataset.add_sample(sample)


def _new_sample(fo: Any, row: Mapping[str, Any]) -> "fo.Sample":
    labels = fo.Classifications(classifications=[fo.Classification(label=x) for x in row["labels"]])
    truth = None if row["truth"] is None else fo.Segmentation(mask=row["truth"])
    return fo.Sample(
        filepath=str(Path(row["path"]).absolute()),
        image_id=row["image_id"],
        labels=labels,
        truth=truth,
    )


def image_iou(truth: np.ndarray, mask: np.ndarray) -> float:
    """Return the mean IoU of one image over the classes in either mask, background too.

    Pixels that the truth leaves out (255) do not count; where the mask is uncertain it is wrong.
    """
    known = truth != IGNORE
    truth, mask = truth[known], mask[known]
    classes = set(np.unique(truth)) | set(np.unique(mask)) - {IGNORE}
    parts = [
        ((truth == value) & (mask == value)).sum() / ((truth == value) | (mask == value)).sum()
        for value in classes
    ]
    return float(np.mean(parts)) if parts else 0.0


def compare(dataset: "fo.Dataset", experiments: Sequence[str], class_names: Sequence[str]) -> None:
    """Evaluate the masks by FiftyOne's own means, and save views: worst first, gains and losses."""
    import fiftyone as fo
    from fiftyone import ViewField

    scored = [name for name in experiments if dataset.has_sample_field(field("iou", name))]
    for name in scored:
        there = dataset.exists(field("mask", name)).exists("truth")
        there.evaluate_segmentations(
            field("mask", name),
            gt_field="truth",
            eval_key=field("evaluation", name),
            mask_targets=dict(enumerate(["background", *class_names])),
            progress=False,
        )
        worst = dataset.exists(field("iou", name)).sort_by(field("iou", name))
        dataset.save_view(f"worst {name}", worst)
    for name in scored[1:]:
        first, other = ViewField(field("iou", scored[0])), ViewField(field("iou", name))
        both = dataset.exists(field("iou", scored[0])).exists(field("iou", name))
        dataset.save_view(f"{name} gains on {scored[0]}", both.sort_by(first - other))
        dataset.save_view(f"{name} loses to {scored[0]}", both.sort_by(other - first))
    shown = ["labels", "truth", *(field("mask", name) for name in experiments[:1])]
    shown += [field("iou", name) for name in scored]
    dataset.app_config.active_fields = fo.ActiveFields(paths=shown)
    dataset.save()
