"""What a review asks and what was answered: the candidates and the decisions file.

It knows neither FiftyOne nor its database: an answer is recorded, or refused, without them.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd

from wood.ood.decisions import (
    SINGLE,
    UNDO,
    Decision,
    append_decisions,
    last_decisions,
    merge,
    read_decisions,
)
from wood.runtime.errors import InputError
from wood.runtime.store import write_json

OLDEST = timedelta(seconds=60)  # a page is believed that a key went down so long ago


@dataclass(frozen=True)
class Review:
    """One reviewer's review of one ranking: what the command hands to the App's server.

    `name` is the FiftyOne dataset's. This reviewer's answers go to the file `decisions`; `others`
    are further reviewers' files. A candidate is a row of the ranking, best first, with `screen`,
    the name of the screen of similar images that it stands on.
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

        Args:
            presses: each with `answers`, of `image` (id), `word` (accept or reject) and where they
                are known `found` (the class that is there) and `look`; `screen`, the name of the
                screen they were given on; and `age`, milliseconds since the key went down. The
                answers of one press share their time: an undo takes them back together. A press
                with `undo` takes back the answers to `images`, else the reviewer's last press.

        Returns:
            The ids of the images that the last press was about.

        Raises:
            InputError: an image is none of this review, and nothing is written, since the page
                sends all presses again; or a line would be broken, and of that press and those
                after it nothing is written.
        """
        predicted, images = self.predicted(), []
        asked = [press for press in presses if not press.get("undo")]
        for line in (line for press in asked for line in _answers(press)):
            if line["image"] not in predicted:
                raise InputError(
                    f"{line['image']!r} is no image of this review, {self.name}: not recorded."
                )
        for press in presses:
            lines = self._undo(press) if press.get("undo") else _answers(press)
            age = min(timedelta(milliseconds=max(0.0, press.get("age") or 0)), OLDEST)
            time = (datetime.now(UTC) - age).isoformat(timespec="microseconds")
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
                ],
            )
            images = [line["image"] for line in lines]
        return images

    def _undo(self, press: Mapping[str, Any]) -> list[dict[str, str]]:
        own = self.own()
        images = [image for image in press.get("images") or [] if image in own.index]
        images = images or last_decisions(self.decisions, self.reviewer)
        known = self.predicted()
        return [{"image": image, "word": UNDO, "look": ""} for image in images if image in known]

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

    def state(self) -> dict[str, Any]:
        """Return all that the page shows: the candidates with their answers, and the rule."""
        own, foreign, disputed = self.own(), self.foreign(), set(self.disputed())
        decisions, found = own["decision"].to_dict(), own["found"].to_dict()
        return {
            "name": self.name,
            "reviewer": self.reviewer,
            "decisions": self.decisions,
            "classes": self.classes,
            "wanted": self.wanted,
            "heatmaps": bool(self.maps or self.classifier),
            "candidates": [
                {
                    **candidate,
                    "decision": decisions.get(candidate["image_id"]),
                    "found": found.get(candidate["image_id"]) or None,
                    "others": foreign.get(candidate["image_id"]),
                    "disputed": candidate["image_id"] in disputed,
                }
                for candidate in self.candidates
            ],
        }


def _answers(press: Mapping[str, Any]) -> list[Mapping[str, str]]:
    return list(press["answers"])
