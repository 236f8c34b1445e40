"""Human review of hard OoD candidates in FiftyOne: the manual pruning of Sec. 3.1.

    wood review --ranking ranking.parquet --decisions decisions.csv

builds or refreshes a FiftyOne dataset of the ranked candidates and serves the App, where one key
accepts (no foreground object: hard OoD) or rejects (foreground object present) an image. Every
answer is in the decisions file before the App shows it, see `wood.ood.decisions`.
"""

import argparse
import getpass
import hashlib
import logging
import os
import re
import threading
import webbrowser
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import pandas as pd

from wood.ood.decisions import check_reviewer, log_disagreements, merge
from wood.ood.features import read_features
from wood.review.answers import SETTINGS, Review
from wood.review.database import disconnect, is_own, only_one, start_fiftyone, use_database
from wood.review.dataset import (
    RANKING_COLUMNS,
    TO_REVIEW,
    describe_similar,
    read_ranking,
    refresh_dataset,
)
from wood.review.serving import (
    DEFAULT_PORT,
    app_server,
    foreground,
    free_port,
    has_display,
    page_address,
    wait_until_interrupted,
)
from wood.review.similar import screens
from wood.runtime.errors import InputError
from wood.runtime.store import load_tensors

PLUGIN = Path(__file__).with_name("app")

AGAIN = "every answer given is in {}, run the same command again to go on."
SERVING = ("database", "address", "port", "browser", "wait")  # the options of `serve`

logger = logging.getLogger(__name__)


def open_review(
    ranking: str | Path,
    decisions: str | Path,
    *,
    reviewer: str,
    others: Sequence[str | Path] = (),
    features: Sequence[str | Path] = (),
    maps: Sequence[str | Path] = (),
    classifier: str | Path | None = None,
    classes: Sequence[str] = (),
    project: str | None = None,
    wanted: int | None = None,
) -> Review:
    """Return the review of a ranking by one reviewer, its disagreements with others logged.

    Args:
        ranking: Parquet of ranked candidates, see `wood.ood.ranking`.
        decisions: the file of this reviewer's answers; made with the first one.
        reviewer: the name that goes into it.
        others: other reviewers' files, to show where they disagree.
        features: F_in's features of the candidates (see `score_images`); with them similar images
            stand on one screen.
        maps: shards of localization maps; a candidate's map of its predicted class is its heatmap.
        classifier: F_in, which makes the heatmaps that are asked for and are not in `maps`.
        classes: the foreground classes; default: the classifier's, else those predicted.
        project: what the review is called in FiftyOne; default: the name of the ranking's folder.
        wanted: accepted images wanted per class; a class that has them is asked for no more.

    Raises:
        InputError: bad ranking, decisions, features or maps, or a name that breaks a line.
    """
    check_reviewer(reviewer)
    decisions = Path(decisions).absolute()
    ranked = read_ranking(ranking)
    log_disagreements(merge([decisions, *others])[1])
    return Review(
        review_name(project or _project(ranking), decisions, reviewer),
        str(decisions),
        reviewer,
        list(classes) or _classes(classifier, ranked),
        wanted,
        [str(Path(path).absolute()) for path in others if Path(path).absolute() != decisions],
        [str(Path(path).absolute()) for path in maps],
        None if classifier is None else str(Path(classifier).absolute()),
        candidates(ranked, features),
    )


def serve(
    opened: Review,
    features: Sequence[str | Path] = (),
    *,
    database: str | Path | None = None,
    address: str = "127.0.0.1",
    port: int | None = None,
    browser: bool = True,
    wait: bool = True,
) -> None:
    """Build or refresh the review's dataset and serve the App until it is interrupted.

    Args:
        opened: the review.
        features: as for `open_review`; for FiftyOne's embeddings panel and similarity search.
        database: folder of the review's MongoDB; default: below `fiftyone` beside the decisions,
            one for each decisions file and reviewer.
        address, port: where the App listens; without a port the first free one from 5151.
        browser: open the App in a browser where there is a display.
        wait: serve the App; otherwise the dataset is refreshed and nothing is served.

    Raises:
        InputError: a taken port, a review that is open already, or a database that does not start,
            is another's, has the wrong version or stops.
    """
    decisions = Path(opened.decisions)
    _make_folder(decisions.parent)
    own = decisions.parent / "fiftyone" / _key(decisions.name, opened.reviewer)
    folder = Path(database or own)
    port = free_port(address, port) if wait else None
    page = "" if port is None else page_address(opened.name, address, port, TO_REVIEW)
    with only_one(folder, page), foreground() if wait else nullcontext():
        opened.write(folder / "review.json")
        os.environ[SETTINGS] = str((folder / "review.json").absolute())
        use_database(folder, PLUGIN)
        with nullcontext() if port is None else app_server(address, port) as server:
            start_fiftyone(folder)
            try:
                refresh_dataset(opened, own_database=is_own())
                if server:
                    server.serve()
                    with suppress(KeyboardInterrupt):  # Ctrl-C ends it at once, too
                        _announce(page, browser)
                        _describe(opened, features)
                        wait_until_interrupted(address, port, AGAIN.format(decisions))
                _log_counts(opened)
            finally:
                disconnect()


def candidates(ranking: pd.DataFrame, features: Sequence[str | Path]) -> list[dict[str, Any]]:
    """Return the rows of a ranking with the `screen` of each, "" where there are no features."""
    table = ranking.assign(
        score=ranking["score"].astype(float),
        path=[str(Path(path).absolute()) for path in ranking["path"]],
        screen="",
    )
    if features:
        z = read_features(features, list(ranking["image_id"]))
        numbers = screens(z, table["score"].to_numpy())
        table["screen"] = [f"{number + 1:04d}" for number in numbers]
    return table[[*RANKING_COLUMNS, "screen"]].to_dict("records")


def review_name(project: str, decisions: Path, reviewer: str) -> str:
    """Return the name in FiftyOne of a reviewer's review: its own on a shared database, too."""
    return "-".join(
        [_plain(project), _plain(decisions.stem), _key(project, str(decisions), reviewer)]
    )


def _key(*parts: str) -> str:
    """A name for what `parts` say, its own even where they differ in other signs than letters."""
    digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:8]
    return f"{_plain(parts[-1])}-{digest}"


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "x"


def _project(ranking: str | Path) -> str:
    """The folder of `results/` that a ranking lies in, `results/NAME/ood/ranking.parquet`."""
    folder = Path(ranking).absolute().parent
    return (folder.parent if folder.name == "ood" else folder).name


def _classes(classifier: str | Path | None, ranking: pd.DataFrame) -> list[str]:
    if classifier is None:
        return sorted(set(ranking["class"]))
    return list(load_tensors(classifier, "np")[1].get("class_names", sorted(set(ranking["class"]))))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `wood review`."""
    add = parser.add_argument
    add("--ranking", required=True, help="ranked candidates (Parquet)")
    add("--decisions", required=True, help="decisions file (CSV), made with the first answer")
    add("--reviewer", default=_user(), help="name written beside each decision (%(default)s)")
    add("--others", nargs="+", default=[], help="other reviewers' files, to show disagreements")
    add("--features", nargs="+", default=[], help="features of the candidates: similar together")
    add("--maps", nargs="+", default=[], help="shards of localization maps, shown as heatmaps")
    add("--classifier", help="classifier that makes the other heatmaps, when they are asked for")
    add("--classes", nargs="+", default=[], help="foreground classes (default: the classifier's)")
    add("--project", help="name in FiftyOne (default: that of the results folder)")
    add("--database", help="folder of the database (default: below fiftyone/, by the decisions)")
    add("--wanted", type=int, help="accepted images wanted per class; more are not asked for")
    add("--address", default="127.0.0.1", help="where the App listens (%(default)s)")
    add("--port", type=int, help=f"its port (default: the first free one from {DEFAULT_PORT})")
    add("--no-browser", dest="browser", action="store_false", help="open no browser")
    add("--no-wait", dest="wait", action="store_false", help="refresh the dataset, serve nothing")


def run(options: argparse.Namespace) -> int:
    """Run `wood review`."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    given = {name: value for name, value in vars(options).items() if name != "command"}
    serving = {name: given.pop(name) for name in SERVING}
    serve(open_review(**given), options.features, **serving)
    return 0


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # no name for this user id, as in many containers
        return "reviewer"


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot hold the decisions ({error.strerror}).") from None


def _announce(page: str, browser: bool) -> None:
    print(f"The review is at {page}", flush=True)
    print("Ctrl-C ends it; every answer given is already on the disk.", flush=True)
    if browser and has_display():
        webbrowser.open(page)


def _describe(opened: Review, features: Sequence[str | Path]) -> None:
    """Add FiftyOne's tools for similar images, beside what the reviewer does meanwhile."""
    if features:
        z = read_features(features, [row["image_id"] for row in opened.candidates])
        threading.Thread(target=describe_similar, args=[opened, z], daemon=True).start()


def _log_counts(opened: Review) -> None:
    for row in opened.counts():
        target = f" of {opened.wanted} wanted" if opened.wanted is not None else ""
        logger.info(
            f"{row['class']}: {row['accepted']} accepted{target}, {row['rejected']} rejected, "
            f"{row['remaining']} to review"
        )
