"""What a review asks and what was answered: the candidates and the decisions file.

It knows neither FiftyOne nor its database: an answer is recorded, or refused, without them.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from wood.ood.decisions import (
    SINGLE,
    UNDO,
    Decision,
    append_decisions,
    in_force,
    last_press,
    merge,
    now,
    read_decisions,
    read_history,
)
from wood.runtime.errors import InputError
from wood.runtime.store import write_json

# The App's server finds the review's file by this variable of its environment.
SETTINGS = "WOOD_REVIEW"


class ForeignImage(InputError):
    """Answers to `images`, which are none of the review: none of the presses is recorded."""

    def __init__(self, images: Sequence[str], name: str):
        self.images = list(images)
        super().__init__(f"{self.images[0]!r} is no image of this review, {name}: not recorded.")


@dataclass(frozen=True)
class Review:
    """One reviewer's review of one ranking: what the command hands to the App's server.

    `name` is the FiftyOne dataset's. This reviewer's answers go to the file `decisions`; `others`
    are further reviewers' files. A candidate is a row of the ranking, best first, with `screen`,
    the name of the screen of similar images that it stands on. `started` tells one start of the
    command from another.
    """

    name: str
    decisions: str
    reviewer: str
    classes: list[str]
    wanted: int | None = None
    others: list[str] = field(default_factory=list)
    maps: list[str] = field(default_factory=list)
    classifier: str | None = None
    candidates: list[dict[str, Any]] = field(default_factory=list)
    started: str = field(default_factory=now)

    def write(self, path: str | Path) -> None:
        """Write the review for the App's server to read."""
        write_json(path, asdict(self))

    @classmethod
    def read(cls, path: str | Path) -> "Review":
        """Read what `write` wrote."""
        return cls(**json.loads(Path(path).read_text(encoding="utf-8")))

    def predicted(self) -> dict[str, str]:
        """Return the predicted class of every candidate."""
        return {candidate["image_id"]: candidate["class"] for candidate in self.candidates}

    def record(self, presses: Sequence[Mapping[str, Any]]) -> list[str]:
        """Append the answers of key presses in their order; on the disk when this returns.

        A press is known by its time: what the file has of it already is not written again, so a
        page that got no report may send it once more.

        Args:
            presses: each with `answers`, of `image` (id), `word` (accept or reject) and where they
                are known `found` (the class that is there) and `look`; `screen`, the name of the
                screen they were given on; and `time`, when the key went down (ISO 8601; default:
                the present). The answers of one press share their time: an undo takes them back
                together. A press with `undo` takes back the answers to `images`, else the
                reviewer's last press.

        Returns:
            The ids of the images that the last press was about.

        Raises:
            ForeignImage: images are none of this review; nothing is written.
            InputError: a line would be broken, and of that press and those after it nothing is
                written.
        """
        predicted, images = self.predicted(), []
        asked = [line["image"] for press in presses for line in press.get("answers") or []]
        if foreign := [image for image in asked if image not in predicted]:
            raise ForeignImage(foreign, self.name)
        history = self._history()
        for press in presses:
            time = _moment(press.get("time"))
            if press.get("undo"):
                history = self._history()
                lines = self._undo(press, history[history["time"] != time])
            else:
                lines = list(press["answers"])
            written = set(history.loc[history["time"] == time, "image_id"])
            append_decisions(
                self.decisions,
                [
                    Decision(
                        line["image"],
                        line["word"],
                        predicted[line["image"]],
                        self.reviewer,
                        time,
                        line.get("found") or "",
                        press.get("screen") or "",
                        line.get("look") or SINGLE,
                    )
                    for line in lines
                    if line["image"] not in written
                ],
            )
            images = [line["image"] for line in lines]
        return images

    def _history(self) -> pd.DataFrame:
        history = read_history(self.decisions)
        return history[history["reviewer"] == self.reviewer]

    def _undo(self, press: Mapping[str, Any], before: pd.DataFrame) -> list[dict[str, str]]:
        """Return the lines that take a press back; `before` is this reviewer's history until it."""
        answered = set(in_force(before)["image_id"]) & self.predicted().keys()
        images = press.get("images") or last_press(before)
        return [{"image": image, "word": UNDO, "look": ""} for image in images if image in answered]

    def own(self) -> pd.DataFrame:
        """Return this reviewer's decisions in force, by image id."""
        table = read_decisions(self.decisions)
        return table[table["reviewer"] == self.reviewer].set_index("image_id")

    def foreign(self) -> dict[str, str]:
        """Return what other reviewers decided: for each image such as "bob: reject"."""
        tables = [read_decisions(path) for path in [self.decisions, *self.others]]
        table = pd.concat(tables, ignore_index=True)
        table = table[table["reviewer"] != self.reviewer].drop_duplicates(["image_id", "reviewer"])
        words = table["reviewer"] + ": " + table["decision"]
        return words.groupby(table["image_id"]).agg("; ".join).to_dict()

    def disputed(self) -> list[str]:
        """Return the images on which reviewers disagree; such an image counts as rejected."""
        _, disagreements = merge([self.decisions, *self.others])
        known = self.predicted()
        return [image for image in disagreements["image_id"] if image in known]

    def counts(self) -> list[dict[str, Any]]:
        """Count this reviewer's accepted, rejected and remaining candidates of each class."""
        own = self.own()["decision"]
        table = pd.DataFrame(self.candidates, columns=["image_id", "class"])
        table["decision"] = table["image_id"].map(own).fillna("remaining")
        counts = pd.crosstab(table["class"], table["decision"])
        counts = counts.reindex(columns=["accept", "reject", "remaining"], fill_value=0)
        return [
            {
                "class": name,
                "accepted": int(row.accept),
                "rejected": int(row.reject),
                "remaining": int(row.remaining),
                "wanted": self.wanted,
            }
            for name, row in zip(counts.index, counts.itertuples(index=False), strict=True)
        ]

    def answered(self, images: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Return what the decisions files say about `images`: `decision` (None where there is none
        in force), `found`, the `others`' answers and whether it is `disputed`.
        """
        own, foreign, disputed = self.own(), self.foreign(), set(self.disputed())
        decisions, found = own["decision"].to_dict(), own["found"].to_dict()
        return {
            image: {
                "decision": decisions.get(image),
                "found": found.get(image) or None,
                "others": foreign.get(image),
                "disputed": image in disputed,
            }
            for image in images
        }

    def state(self) -> dict[str, Any]:
        """Return all that the page shows: the candidates with their answers, and the rule.

        `now` is the clock that the presses' times are told by: the page may run elsewhere.
        """
        answers = self.answered(self.predicted())
        return {
            "name": self.name,
            "started": self.started,
            "now": now(),
            "reviewer": self.reviewer,
            "decisions": self.decisions,
            "classes": self.classes,
            "wanted": self.wanted,
            "heatmaps": bool(self.maps or self.classifier),
            "candidates": [
                {**candidate, **answers[candidate["image_id"]]} for candidate in self.candidates
            ],
        }


def _moment(time: str | None) -> str:
    """Return an ISO 8601 time as the file has it; none is the present."""
    if time is None:
        return now()
    try:
        moment = datetime.fromisoformat(time).astimezone(UTC)
    except (TypeError, ValueError):
        raise InputError(f"{time!r} is no time of a key press: not recorded.") from None
    return moment.isoformat(timespec="microseconds")
