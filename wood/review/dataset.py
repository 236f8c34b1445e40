"""The review's FiftyOne dataset: a mirror of the ranking and of the decisions file.

Nothing here is the truth: the dataset can be thrown away and made again from both files.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from wood.data.image_ids import as_image_id
from wood.maps import read_maps
from wood.runtime.errors import InputError
from wood.runtime.store import read_table

if TYPE_CHECKING:
    import fiftyone as fo

RANKING_COLUMNS = [
    *["rank", "image_id", "split", "class", "score", "path"],
    *["labels", "license", "author", "url"],
]
MARK = "wood_review"
TO_REVIEW = "to review"
DECISION = ("decision", "reviewer")
SOURCE = ("license", "author", "url")
CAM_OPACITY = 0.6
COLORS = {
    **dict.fromkeys(["prediction", "score"], "#ff6d04"),
    **dict.fromkeys(["rank", "open_images_labels", "image_id", *SOURCE], "#8aa0b8"),
    **dict.fromkeys(DECISION, "#3d7bd9"),
    "cam": "#ff1f6b",
}
METADATA = ("size_bytes", "mime_type", "width", "height", "num_channels")

logger = logging.getLogger(__name__)


def read_ranking(path: str | Path) -> pd.DataFrame:
    """Read the ranked candidates, best first; those without an image file are left out, said.

    Raises:
        InputError: a missing column, an unsafe or a repeated image id, or no candidate at all.
    """
    ranking = read_table(path, RANKING_COLUMNS).sort_values("rank", ignore_index=True)
    for image_id in ranking["image_id"]:
        as_image_id(image_id, str(path))
    repeated = ranking.loc[ranking["image_id"].duplicated(), "image_id"]
    if len(repeated):
        raise InputError(f"{path}: the image {repeated.iloc[0]} is ranked twice.")
    present = np.array([Path(image).is_file() for image in ranking["path"]], dtype=bool)
    if not present.any():
        raise InputError(f"{path}: no ranked candidate has an image file, nothing to review.")
    if not present.all():
        logger.warning(
            "%d of %d candidates have no image file and are left out, the first is %s",
            *((~present).sum(), len(ranking), ranking.loc[~present, "path"].iloc[0]),
        )
    return ranking[present].reset_index(drop=True)


def read_cams(paths: Iterable[str | Path], ranking: pd.DataFrame) -> dict[str, np.ndarray]:
    """Return each candidate's map of its predicted class, (h, w) uint8, from shards of maps."""
    from wood.runtime.store import load_tensors

    predicted = dict(zip(ranking["image_id"], ranking["class"], strict=True))
    cams = {}
    for path in paths:
        names = load_tensors(path)[1].get("classes", [])
        for image in read_maps(path):
            name = predicted.get(image.image_id)
            for index, localization in zip(image.classes.tolist(), image.maps, strict=True):
                if names[index] == name:
                    cams[image.image_id] = (localization.float() * 255).byte().numpy()
    return cams


def refresh_dataset(
    name: str,
    ranking: pd.DataFrame,
    decisions: pd.DataFrame,
    cams: Mapping[str, np.ndarray],
) -> "fo.Dataset":
    """Make the persistent dataset `name` show `ranking` and the settled `decisions`.

    Samples of images that stay are kept (a reviewer's tags with them), new ones added, those no
    longer ranked removed; a decision comes from `decisions` alone.

    Raises:
        InputError: a dataset of that name exists that is not a review.
    """
    import fiftyone as fo

    if not fo.dataset_exists(name):
        dataset = fo.Dataset(name, persistent=True)
        dataset.info[MARK] = True
        dataset.save()
        _add_fields(dataset)
    dataset = fo.load_dataset(name)
    if not dataset.info.get(MARK):
        raise InputError(f"The FiftyOne dataset {name!r} is not a review, choose another name.")

    wanted = set(ranking["image_id"])
    known = dict(zip(*dataset.values(["image_id", "id"]), strict=True))
    _mend_count(dataset, len(known))
    dataset.delete_samples([sample for image, sample in known.items() if image not in wanted])
    dataset.add_samples(
        [
            fo.Sample(filepath=str(Path(row.path).absolute()), image_id=row.image_id)
            for row in ranking.itertuples()
            if row.image_id not in known
        ],
        progress=False,
    )
    settled = decisions.set_index("image_id")
    for field, values in _fields(ranking, settled, cams).items():
        dataset.set_values(field, values, key_field="image_id", progress=False)
    _save_views(dataset, list(dict.fromkeys(sorted(ranking["class"]))))
    _configure_app(dataset)
    return dataset


def mirror_decisions(samples: "fo.DatasetView", decisions: pd.DataFrame) -> None:
    """Copy what `decisions` (settled) says about the images of `samples` into the database."""
    settled = decisions.set_index("image_id")
    images = samples.values("image_id")
    for field in DECISION:
        samples.set_values(field, [_look_up(settled, image, field) for image in images])


def count_decisions(dataset: "fo.Dataset", wanted: int | None) -> list[dict[str, Any]]:
    """Count accepted, rejected and remaining candidates per class, against the number wanted."""
    classes, decisions = dataset.values(["prediction.label", "decision"])
    table = pd.crosstab(
        pd.Series(classes, dtype=object),
        pd.Series(["remaining" if word is None else word for word in decisions], dtype=object),
    ).reindex(columns=["accept", "reject", "remaining"], fill_value=0)
    return [
        {
            "class": name,
            "accepted": int(row.accept),
            "rejected": int(row.reject),
            "remaining": int(row.remaining),
            "wanted": wanted,
        }
        for name, row in zip(table.index, table.itertuples(index=False), strict=True)
    ]


def _mend_count(dataset: "fo.Dataset", samples: int) -> None:
    """Correct MongoDB's own count of documents, which the App goes by.

    A killed MongoDB keeps the documents and forgets their number; the App then says that there are
    no samples. `validate` counts again.
    """
    collection = dataset._sample_collection
    if collection.estimated_document_count() != samples:
        collection.database.validate_collection(collection.name)


def _add_fields(dataset: "fo.Dataset") -> None:
    import fiftyone as fo

    for field in ("image_id", "open_images_labels", *DECISION, *SOURCE):
        dataset.add_sample_field(field, fo.StringField)
    dataset.add_sample_field("rank", fo.IntField)
    dataset.add_sample_field("score", fo.FloatField)
    dataset.add_sample_field("prediction", fo.EmbeddedDocumentField, fo.Classification)
    dataset.add_sample_field("cam", fo.EmbeddedDocumentField, fo.Heatmap)
    dataset.create_index("image_id", unique=True)
    dataset.create_index("rank")


def _fields(
    ranking: pd.DataFrame, settled: pd.DataFrame, cams: Mapping[str, np.ndarray]
) -> dict[str, dict[str, Any]]:
    """Field name -> image id -> value, for every field that a refresh sets."""
    import fiftyone as fo

    fields: dict[str, dict[str, Any]] = {
        field: {}
        for field in (
            *["filepath", "rank", "prediction", "score", "cam", "open_images_labels"],
            *[*DECISION, *SOURCE],
        )
    }
    for row in ranking.to_dict("records"):
        image = row["image_id"]
        values = {
            "filepath": str(Path(row["path"]).absolute()),
            "rank": int(row["rank"]),
            "prediction": fo.Classification(label=row["class"], confidence=float(row["score"])),
            "cam": fo.Heatmap(map=cams[image], range=[0, 255]) if image in cams else None,
            "score": round(float(row["score"]), 4),
            "open_images_labels": row["labels"] or None,
        }
        values |= {field: _look_up(settled, image, field) for field in DECISION}
        values |= {field: row[field] or None for field in SOURCE}
        for field, value in values.items():
            fields[field][image] = value
    return fields


def _look_up(settled: pd.DataFrame, image_id: str, column: str) -> str | None:
    return settled.loc[image_id, column] if image_id in settled.index else None


def _save_views(dataset: "fo.Dataset", classes: Sequence[str]) -> None:
    """One saved view per class, hardest first, undecided; one of them all; one per decision."""
    from fiftyone import ViewField

    undecided = dataset.match(ViewField("decision") == None).sort_by("rank")  # noqa: E711
    views = {TO_REVIEW: undecided}
    for name in classes:
        views[f"{name} {TO_REVIEW}"] = undecided.match(ViewField("prediction.label") == name)
    for word, title in (("accept", "accepted"), ("reject", "rejected")):
        views[title] = dataset.match(ViewField("decision") == word).sort_by("rank")
    for old in dataset.list_saved_views():
        if old.endswith(f" {TO_REVIEW}") and old not in views:
            dataset.delete_saved_view(old)
    for name, view in views.items():
        dataset.save_view(name, view, overwrite=True)


def _configure_app(dataset: "fo.Dataset") -> None:
    import fiftyone as fo

    dataset.app_config.active_fields = fo.ActiveFields(
        paths=["prediction", "score", "cam", "decision"]
    )
    dataset.app_config.color_scheme = fo.ColorScheme(
        color_by="field",
        opacity=CAM_OPACITY,
        fields=[{"path": path, "fieldColor": color} for path, color in COLORS.items()],
        default_colorscale={"name": "jet", "list": None},
    )
    groups = {
        "candidate": ["prediction", "score", "cam", "rank", "open_images_labels"],
        "decision": list(DECISION),
        "source": ["image_id", *SOURCE],
        "file": ["id", "filepath", "created_at", "last_modified_at"],
    }
    dataset.app_config.sidebar_groups = [
        fo.SidebarGroupDocument(name="tags"),
        *[
            fo.SidebarGroupDocument(name=name, paths=paths, expanded=name != "file")
            for name, paths in groups.items()
        ],
        fo.SidebarGroupDocument(
            name="metadata",
            paths=[
                f"metadata.{field}"
                for field in ("size_bytes", "mime_type", "width", "height", "num_channels")
            ],
            expanded=False,
        ),
    ]
    dataset.save()
