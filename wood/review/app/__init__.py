"""The FiftyOne plugin of the review: what the keys and buttons of the page do.

An answer goes to the decisions file first, durably, and to the database after; the database may
fail, the file may not. FiftyOne imports this file in the App's server, under a name of its own.
"""

import os
from functools import cache
from typing import TYPE_CHECKING, Any

import fiftyone.operators as foo
import fiftyone.operators.types as types
import pymongo
from fiftyone.plugins.context import PluginContext

from wood.ood.decisions import ACCEPT, REJECT, UNDO
from wood.review.answers import SETTINGS, ForeignImage, Review
from wood.review.dataset import mirror_answers, mirror_heatmaps
from wood.runtime.errors import InputError

if TYPE_CHECKING:
    from wood.review.heatmaps import Heatmaps

MIRROR_SECONDS = 5  # that an answer waits for the database, when the file has it already


@cache
def _review() -> Review:
    return Review.read(os.environ[SETTINGS])


@cache
def _heatmaps() -> "Heatmaps":
    from wood.review.heatmaps import Heatmaps  # PyTorch comes with it

    review = _review()
    return Heatmaps(review.maps, review.classifier, review.predicted())


def _is_ours(ctx: foo.ExecutionContext) -> bool:
    return ctx.request_params.get("dataset_name") == _review().name


def _record(ctx: foo.ExecutionContext, presses: list[dict]) -> dict:
    """Record presses, then bring the database's samples to what the file says."""
    review = _review()
    if not _is_ours(ctx):
        raise InputError(f"This review is of {review.name}: not recorded.")
    images = review.record(presses)
    touched = {line["image"] for press in presses for line in press.get("answers") or []}
    touched |= set(images)
    report = {
        "images": images,
        "answers": review.answered(touched),
        "started": review.started,
        "warning": None,
    }
    try:
        with pymongo.timeout(MIRROR_SECONDS):
            mirror_answers(ctx.dataset, review, touched)
    except Exception as error:  # the answer is on the disk already, whatever the database does
        report["warning"] = f"recorded in the decisions file, but not in FiftyOne: {error}"
    return report


class State(foo.Operator):
    """Tell the page which dataset is under review, the candidates and how far it is."""

    @property
    def config(self) -> foo.OperatorConfig:
        return foo.OperatorConfig(name="state", label="Review: state", unlisted=True)

    def execute(self, ctx: foo.ExecutionContext) -> dict:
        return {"active": True, **_review().state()} if _is_ours(ctx) else {"active": False}


class Record(foo.Operator):
    """Record the presses of the page's keys, in their order."""

    @property
    def config(self) -> foo.OperatorConfig:
        return foo.OperatorConfig(name="record", label="Review: record", unlisted=True)

    def execute(self, ctx: foo.ExecutionContext) -> dict:
        try:
            return _record(ctx, ctx.params["presses"])
        except ForeignImage as error:
            return {"foreign": error.images, "refused": str(error)}
        except InputError as error:
            return {"refused": str(error)}


class ShowHeatmaps(foo.Operator):
    """Make the heatmaps of some images."""

    @property
    def config(self) -> foo.OperatorConfig:
        return foo.OperatorConfig(name="heatmaps", label="Review: heatmaps", unlisted=True)

    def execute(self, ctx: foo.ExecutionContext) -> dict:
        from wood.review.heatmaps import as_png

        paths = {row["image_id"]: row["path"] for row in _review().candidates}
        cams = {image: _heatmaps().of(image, paths[image]) for image in ctx.params["images"]}
        cams = {image: cam for image, cam in cams.items() if cam is not None}
        mirror_heatmaps(ctx.dataset, cams)
        return {"heatmaps": {image: as_png(cam) for image, cam in cams.items()}}


class _OfSelection(foo.Operator):
    """Record one answer for the open image, else for the selected ones, and tell the page."""

    word: str
    label: str

    @property
    def config(self) -> foo.OperatorConfig:
        return foo.OperatorConfig(name=self.word, label=self.label, dynamic=True)

    def resolve_input(self, ctx: foo.ExecutionContext) -> types.Property:
        """Ask nothing, and refuse to run on a dataset that is not the review's."""
        inputs = types.Object()
        if not _is_ours(ctx):
            refusal = types.Error(label="This dataset is not the one under review.")
            inputs.view("refusal", refusal).invalid = True
        return types.Property(inputs)

    def execute(self, ctx: foo.ExecutionContext) -> dict:
        samples = ctx.params.get("samples") or ctx.selected
        images = ctx.dataset.select(samples).values("image_id") if samples else []
        press: dict[str, Any] = {
            "answers": [{"image": image, "word": self.word} for image in images]
        }
        if self.word == UNDO:
            press = {"undo": True, "images": images}
        report = _record(ctx, [press]) | {"word": self.word}
        ctx.trigger("@wood/review/answered", params=report)
        return report


class Accept(_OfSelection):
    """No foreground object: a hard OoD image."""

    word, label = ACCEPT, "Review: no object (hard OoD)"


class Reject(_OfSelection):
    """A foreground object is there: not an OoD image."""

    word, label = REJECT, "Review: object (not OoD)"


class Undo(_OfSelection):
    """Take back the answers of the open or selected images, else the reviewer's last answer."""

    word, label = UNDO, "Review: undo"


def register(plugin: PluginContext) -> None:
    """Register the operators; FiftyOne calls this."""
    for operator in (State, Record, ShowHeatmaps, Accept, Reject, Undo):
        plugin.register(operator)
