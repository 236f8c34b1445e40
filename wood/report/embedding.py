"""t-SNE of features at several epochs in one embedding, so that the panels of Fig. 7 compare."""

from dataclasses import dataclass

import numpy as np

from wood.report.columns import Column
from wood.report.tables import Cell, Table
from wood.runtime.store import content_of, load_tensors

PERPLEXITY = 30  # neighbours; scikit-learn's default


@dataclass(frozen=True)
class Embedding:
    """N images in the plane at each epoch.

    `points` maps an epoch to (N, 2); `class_of` and `domain_of` ("in" or "ood") are (N,) of str.
    """

    classes: list[str]
    images: list[str]
    class_of: np.ndarray
    domain_of: np.ndarray
    points: dict[int, np.ndarray]


def embed_epochs(path: str, seed: int) -> Embedding:
    """Embed what `extract_epoch_features` wrote.

    t-SNE has no map for new points: the features of all epochs are embedded together, once.

    Raises:
        InputError: as `read_epochs`.
    """
    from sklearn.manifold import TSNE

    epochs, features, labels = read_epochs(path)
    perplexity = min(PERPLEXITY, (len(features) - 1) / 3)
    together = TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(features)
    parts = np.split(together, len(epochs))
    return Embedding(*labels, dict(zip(epochs, parts, strict=True)))


def read_epochs(
    path: str,
) -> tuple[list[int], np.ndarray, tuple[list[str], list[str], np.ndarray, np.ndarray]]:
    """Return the epochs, their features (epochs * N, D) one after the other, and of the N images
    the classes' names, the ids, the class and the domain of each.

    Raises:
        InputError: the file holds no features of epochs.
    """
    tensors, metadata = load_tensors(path)
    with content_of(path, "features of epochs"):
        epochs = sorted(int(name.removeprefix("epoch-")) for name in tensors)
        features = np.concatenate([tensors[f"epoch-{epoch}"].numpy() for epoch in epochs])
        classes, images = metadata["classes"], metadata["images"]
        class_of, domain_of = (np.array(metadata[name]) for name in ("class_of", "domain_of"))
        if not len(features) // len(epochs) == len(images) == len(class_of) == len(domain_of):
            raise ValueError(images)
        if not np.isfinite(features).all():
            raise ValueError("not finite")
    return epochs, features, (classes, images, class_of, domain_of)


def points_table(embedding: Embedding) -> Table:
    """Fig. 7 as data: one row for each image and epoch."""
    columns = [Column(label, numeric=False) for label in ("Image", "Class", "Domain")]
    columns += [Column(label) for label in ("Epoch", "x", "y")]
    rows = [
        [
            Cell(image),
            Cell(name),
            Cell(domain),
            Cell(str(epoch), epoch),
            *(Cell(f"{value:.2f}", round(float(value), 4)) for value in point),
        ]
        for epoch, points in embedding.points.items()
        for image, name, domain, point in zip(
            embedding.images, embedding.class_of, embedding.domain_of, points, strict=True
        )
    ]
    return Table("figure-7-points", "Features over the training", "", columns, rows)
