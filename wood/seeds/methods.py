"""The localization methods by name: to add one, write its function and name it in `METHODS`.

A method is a function

    (model, images, classes, device, *, settings, max_batch_pixels) -> list of (n, h, w) maps

of B images of one size (`wood.seeds.pyramid.Pyramid`) and the (n,) classes of each; see
`wood.seeds.cam.multi_scale_cam`. Functions are loaded when maps are made, so that the
configuration can be checked against the names without PyTorch.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


def _cam() -> Callable:
    from wood.seeds.cam import multi_scale_cam

    return multi_scale_cam


def _advcam() -> Callable:
    from wood.seeds.advcam import multi_scale_advcam

    return multi_scale_advcam


def _climbs(settings: Mapping[str, Any], scale: float) -> float:
    """A step of climbing costs three passes."""
    return 1 + 3 * settings["half_scale_iterations" if scale == 0.5 else "iterations"]


@dataclass(frozen=True)
class Method:
    """A localization method.

    Attributes:
        title: as it is written on pages and in files.
        load: returns the function.
        architectures: of the classifiers whose maps it can make; None means all.
        settings: its own beside `scales`, each with the JSON schema of its values.
        passes: how many forward passes a map at a scale costs, by the settings and the scale.
    """

    title: str
    load: Callable[[], Callable]
    architectures: tuple[str, ...] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    passes: Callable[[Mapping[str, Any], float], float] = lambda settings, scale: 1

    def schema(self) -> dict[str, Any]:
        """Return the JSON schema of an entry of `localizations` with this method."""
        properties = {"method": {}, "scales": {}, **self.settings}
        return {
            "type": "object",
            "properties": properties,
            "required": list(properties),
            "additionalProperties": False,
        }


COUNT = {"type": "integer", "minimum": 1}
POSITIVE = {"type": "number", "exclusiveMinimum": 0}

METHODS = {
    "cam": Method("CAM", _cam),
    "advcam": Method(
        "AdvCAM",
        _advcam,
        architectures=("cam",),
        passes=_climbs,
        settings={
            "iterations": COUNT,
            "half_scale_iterations": COUNT,
            "half_scale_weight": POSITIVE,
            "step_size": POSITIVE,
            "regularizer": {"type": "number", "minimum": 0},
            "mask_threshold": {"type": "number", "minimum": 0, "maximum": 1},
        },
    ),
}
