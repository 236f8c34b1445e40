"""The review's FiftyOne dataset: a mirror of the ranking and of the decisions file.

Nothing here is the truth: the dataset can be thrown away and made again from both files.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from wood.data.image_ids import as_image_id
from wood.review.answers import Review
from wood.review.similar import plane
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
ANSWER = ("decision", "found", "others", "disputed")
SOURCE = ("license", "author", "url")
CAM_OPACITY = 0.6
COLORS = {
    **dict.fromkeys(["prediction", "score"], "#ff6d04"),
    **dict.fromkeys(["rank", "cluster", "open_images_labels", "image_id", *SOURCE], "#8aa0b8"),
    **dict.fromkeys(ANSWER, "#3d7bd9"),
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


def refresh_dataset(review: Review, *, own_database: bool) -> "fo.Dataset":
    """Make the persistent dataset of a review show its candidates and decisions.

    Samples of images that stay are kept (a reviewer's tags with them), new ones added, those no
    longer ranked removed; an answer comes from the decisions files alone. In a database of the
    review's own, what it was called before (in a folder since moved) goes.

    Raises:
        InputError: a dataset of that name exists that is not a review.
    """
    import fiftyone as fo

    if own_database:
        _delete_older(review.name)
    if not fo.dataset_exists(review.name):
        dataset = fo.Dataset(review.name, persistent=True)
        dataset.info[MARK] = True
        dataset.save()
        _add_fields(dataset)
    dataset = fo.load_dataset(review.name)
    if not dataset.info.get(MARK):
        raise InputError(
            f"The FiftyOne dataset {review.name!r} is not a review, choose another name."
        )
    wanted = {candidate["image_id"] for candidate in review.candidates}
    known = dict(zip(*dataset.values(["image_id", "id"]), strict=True))
    _mend_count(dataset, len(known))
    dataset.delete_samples([sample for image, sample in known.items() if image not in wanted])
    dataset.add_samples(
        [
            fo.Sample(filepath=_absolute(row["path"]), image_id=row["image_id"])
            for row in review.candidates
            if row["image_id"] not in known
        ],
        progress=False,
    )
    for field, values in _fields(review).items():
        dataset.set_values(field, values, key_field="image_id", progress=False)
    _save_views(dataset, review)
    _configure_app(dataset)
    return dataset


def _delete_older(name: str) -> None:
    import fiftyone as fo

    for other in fo.list_datasets():
        if other != name and fo.load_dataset(other).info.get(MARK):
            fo.delete_dataset(other)


def mirror_answers(dataset: "fo.Dataset", review: Review, images: Iterable[str]) -> None:
    """Copy what the decisions files say about `images` into the database."""
    images = list(images)
    for field, values in _answers(review, images).items():
        dataset.set_values(field, values, key_field="image_id", progress=False)


def mirror_heatmaps(dataset: "fo.Dataset", cams: Mapping[str, np.ndarray]) -> None:
    """Show heatmaps that were made, (h, w) uint8 by image id, in FiftyOne too."""
    import fiftyone as fo

    values = {image: fo.Heatmap(map=cam, range=[0, 255]) for image, cam in cams.items()}
    dataset.set_values("cam", values, key_field="image_id", progress=False)


def describe_similar(review: Review, features: np.ndarray) -> None:
    """Add FiftyOne's own tools for similar images: the embeddings panel and "more like this".

    Args:
        review: whose dataset it is; the dataset is there already.
        features: (N, D), of its candidates in their order.
    """
    import fiftyone as fo
    import fiftyone.brain as fob

    dataset = fo.load_dataset(review.name)
    samples = dict(zip(*dataset.values(["image_id", "id"]), strict=True))
    order = {
        samples[row["image_id"]]: z for row, z in zip(review.candidates, features, strict=True)
    }
    for key in set(dataset.list_brain_runs()):
        dataset.delete_brain_run(key)
    points = dict(zip(order, plane(features), strict=True))
    fob.compute_visualization(dataset, points=points, brain_key="similar_images")
    fob.compute_similarity(
        dataset, embeddings=order, brain_key="more_like_this", backend="sklearn", metric="cosine"
    )
    logger.info("FiftyOne's embeddings panel and similarity search are ready.")


def _answers(review: Review, images: Sequence[str]) -> dict[str, dict[str, str | None]]:
    answers = review.answered(images)
    return {field: {image: answers[image][field] for image in images} for field in ANSWER}


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

    for field in ("image_id", "cluster", "open_images_labels", *ANSWER[:-1], *SOURCE):
        dataset.add_sample_field(field, fo.StringField)
    dataset.add_sample_field("disputed", fo.BooleanField)
    dataset.add_sample_field("rank", fo.IntField)
    dataset.add_sample_field("score", fo.FloatField)
    dataset.add_sample_field("prediction", fo.EmbeddedDocumentField, fo.Classification)
    dataset.add_sample_field("cam", fo.EmbeddedDocumentField, fo.Heatmap)
    dataset.create_index("image_id", unique=True)
    dataset.create_index("rank")


def _fields(review: Review) -> dict[str, dict[str, Any]]:
    """Field name -> image id -> value, for every field that a refresh sets."""
    import fiftyone as fo

    rows = {row["image_id"]: row for row in review.candidates}

    def column(value: Callable[[Mapping[str, Any]], Any]) -> dict[str, Any]:
        return {image: value(row) for image, row in rows.items()}

    return {
        "filepath": column(lambda row: _absolute(row["path"])),
        "rank": column(lambda row: row["rank"]),
        "prediction": column(
            lambda row: fo.Classification(label=row["class"], confidence=row["score"])
        ),
        "score": column(lambda row: round(row["score"], 4)),
        "cluster": column(lambda row: row["screen"]),
        "open_images_labels": column(lambda row: row["labels"] or None),
        **{field: column(lambda row, of=field: row[of] or None) for field in SOURCE},  # type: ignore[misc]
        **_answers(review, list(rows)),
    }


def _absolute(path: str) -> str:
    return str(Path(path).absolute())


def _save_views(dataset: "fo.Dataset", review: Review) -> None:
    """Save the views: undecided candidates, of each class, by decision, and the disputed ones.

    FiftyOne knows a view by the letters a-z and digits of its name, which two classes may share
    ("tv monitor" and "tv-monitor") or have none of. A class's view has the class's number too.
    """
    from fiftyone import ViewField

    undecided = dataset.match(ViewField("decision") == None).sort_by("rank")  # noqa: E711
    views = {TO_REVIEW: undecided}
    for number, name in enumerate(review.classes, start=1):
        views[f"{number} {name} {TO_REVIEW}"] = undecided.match(
            ViewField("prediction.label") == name
        )
    for word, title in (("accept", "accepted"), ("reject", "rejected")):
        views[title] = dataset.match(ViewField("decision") == word).sort_by("rank")
    unseen = undecided.match(ViewField("others") == None)  # noqa: E711
    views["answered by nobody"] = unseen
    views["disputed"] = dataset.match(ViewField("disputed") == True).sort_by("rank")  # noqa: E712
    dataset.delete_saved_views()
    for name, view in views.items():
        dataset.save_view(name, view)


def _configure_app(dataset: "fo.Dataset") -> None:
    import fiftyone as fo

    dataset.app_config.active_fields = fo.ActiveFields(
        paths=["prediction", "score", "decision"]  # the heatmap is the reviewer's to ask for
    )
    dataset.app_config.color_scheme = fo.ColorScheme(
        color_by="field",
        opacity=CAM_OPACITY,
        fields=[{"path": path, "fieldColor": color} for path, color in COLORS.items()],
        default_colorscale={"name": "jet", "list": None},
    )
    groups = {
        "candidate": ["prediction", "score", "cam", "rank", "cluster", "open_images_labels"],
        "decision": list(ANSWER),
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
            paths=[f"metadata.{field}" for field in METADATA],
            expanded=False,
        ),
    ]
    dataset.save()
