"""The classifiers' architectures by name: to add one, write its class and name it in a line here.

Classes are loaded when a classifier is built, so that the configuration can be checked against the
names without PyTorch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wood.models.cam import CamClassifier


def _cam() -> type[CamClassifier]:
    from wood.models.cam import CamClassifier

    return CamClassifier


def _seam() -> type[CamClassifier]:
    from wood.models.seam import SeamClassifier

    return SeamClassifier


@dataclass(frozen=True)
class Architecture:
    """An architecture of classifiers.

    Attributes:
        load: returns the class.
        passes: how often a training step takes an image through the network, for what it costs.
        background_class: whether it can have one class more, for OoD images (`wood.target`).
    """

    load: Callable[[], type[CamClassifier]]
    passes: int = 1
    background_class: bool = False


ARCHITECTURES = {
    "cam": Architecture(_cam, background_class=True),
    "seam": Architecture(_seam, passes=2),
}
