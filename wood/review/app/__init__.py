"""The FiftyOne plugin of the review: what the keys and buttons of `review.js` do.

An answer goes to the decisions file first, durably, and to the database after; the database may
fail, the file may not. FiftyOne imports this file in the App's server, under a name of its own.
"""

import json
import os
from dataclasses import dataclass

import fiftyone.operators as foo
import fiftyone.operators.types as types
from fiftyone.plugins.context import PluginContext

from wood.ood.decisions import (
    ACCEPT,
    REJECT,
    UNDO,
    Decision,
    append_decisions,
    last_decisions,
    now,
    read_history,
    settle,
)
from wood.review.dataset import count_decisions, mirror_decisions

SETTINGS = "WOOD_REVIEW"


@dataclass(frozen=True)
class Settings:
    """What `wood.review.session` hands to the App's server, in the environment."""

    dataset: str
    decisions: str
    reviewer: str
    wanted: int | None


def _settings() -> Settings:
    return Settings(**json.loads(os.environ[SETTINGS]))


class _Answer(foo.Operator):
    """Record an answer for the open image, else for the selected ones, and tell the page."""

    word: str
    label: str

    @property
    def config(self) -> foo.OperatorConfig:
        return foo.OperatorConfig(name=self.word, label=self.label, dynamic=True)

    def resolve_input(self, ctx: foo.ExecutionContext) -> types.Property:
        """Ask nothing, and refuse to run on a dataset that is not the review's."""
        inputs = types.Object()
        if ctx.dataset is None or ctx.dataset.name != _settings().dataset:
            refusal = types.Error(label="This dataset is not the one under review.")
            inputs.view("refusal", refusal).invalid = True
        return types.Property(inputs)

    def execute(self, ctx: foo.ExecutionContext) -> dict:
        settings = _settings()
        if ctx.dataset.name != settings.dataset:
            raise ValueError(f"the review is of the dataset {settings.dataset}")
        answers = self.answers(ctx, settings)
        append_decisions(settings.decisions, answers)
        report = {
            "word": self.word,
            "images": [answer.image_id for answer in answers],
            "warning": None,
        }
        try:
            _mirror(ctx, settings, report["images"])
            report["progress"] = count_decisions(ctx.dataset, settings.wanted)
        except Exception as error:  # the answer is on the disk already, whatever the database does
            report["warning"] = f"recorded in decisions.csv, but not shown: {error}"
        ctx.trigger("@wood/review/answered", params=report)
        return report

    def answers(self, ctx: foo.ExecutionContext, settings: Settings) -> list[Decision]:
        """Return the lines to append: this operator's word for every target."""
        time = now()
        return [
            Decision(image_id, self.word, name, settings.reviewer, time)
            for image_id, name in zip(*_targets(ctx), strict=True)
        ]


class Accept(_Answer):
    """No foreground object: a hard OoD image."""

    word, label = ACCEPT, "Review: accept (no foreground object)"


class Reject(_Answer):
    """A foreground object is there: not an OoD image."""

    word, label = REJECT, "Review: reject (foreground object present)"


class Undo(_Answer):
    """Take back the answers of the open or selected images, else the reviewer's last answer."""

    word, label = UNDO, "Review: undo the last answer"

    def answers(self, ctx: foo.ExecutionContext, settings: Settings) -> list[Decision]:
        history = read_history(settings.decisions)
        history = history[history["reviewer"] == settings.reviewer]
        last = history.drop_duplicates("image_id", keep="last").set_index("image_id")
        last = last[last["decision"] != UNDO]
        targets = [image for image in _targets(ctx)[0] if image in last.index]
        targets = targets or last_decisions(settings.decisions, settings.reviewer)
        time = now()
        return [
            Decision(image, UNDO, last.loc[image, "class"], settings.reviewer, time)
            for image in targets
        ]


class Progress(foo.Operator):
    """Tell the page which dataset is under review, and how far it is."""

    @property
    def config(self) -> foo.OperatorConfig:
        return foo.OperatorConfig(name="progress", label="Review: progress", unlisted=True)

    def execute(self, ctx: foo.ExecutionContext) -> dict:
        settings = _settings()
        if ctx.dataset is None or ctx.dataset.name != settings.dataset:
            return {"active": False}
        counts = count_decisions(ctx.dataset, settings.wanted)
        return {"active": True, "reviewer": settings.reviewer, "progress": counts}


def _targets(ctx: foo.ExecutionContext) -> tuple[list[str], list[str]]:
    """Return image ids and predicted classes of the open image, else of the selected ones."""
    samples = [ctx.current_sample] if ctx.current_sample else ctx.selected
    if not samples:
        return [], []
    image_ids, classes = ctx.dataset.select(samples).values(["image_id", "prediction.label"])
    return image_ids, classes


def _mirror(ctx: foo.ExecutionContext, settings: Settings, images: list[str]) -> None:
    """Bring the database's samples of `images` to what the file says."""
    history = read_history(settings.decisions)
    settled, _ = settle(history[history["image_id"].isin(images)])
    mirror_decisions(ctx.dataset.select_by("image_id", images), settled)


def register(plugin: PluginContext) -> None:
    """Register the operators; FiftyOne calls this."""
    for operator in (Accept, Reject, Undo, Progress):
        plugin.register(operator)
