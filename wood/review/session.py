"""Human review of hard OoD candidates in FiftyOne: the manual pruning of Sec. 3.1.

    python -m wood.review.session --ranking ranking.parquet --decisions decisions.csv

builds or refreshes a FiftyOne dataset of the ranked candidates and serves the App, where one key
accepts (no foreground object: hard OoD) or rejects (foreground object present) an image. Every
answer is in the decisions file before the App shows it, see `wood.ood.decisions`.
"""

import argparse
import contextlib
import getpass
import hashlib
import json
import logging
import os
import signal
import socket
import sys
import tempfile
import time
import webbrowser
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import numpy as np
import pandas as pd

import wood
from wood.ood.decisions import check_reviewer, log_disagreements, merge
from wood.review.database import database_answers, disconnect, start_fiftyone
from wood.review.dataset import (
    TO_REVIEW,
    count_decisions,
    read_cams,
    read_ranking,
    refresh_dataset,
)
from wood.runtime.errors import InputError

if TYPE_CHECKING:
    import fiftyone as fo
    import psutil

PLUGIN = Path(__file__).with_name("app")
DEFAULT_PORT = 5151
PORTS_TRIED = 50
SECONDS_BETWEEN_LOOKS = 2
FAILED_LOOKS = 3
SECONDS_TO_STOP = 5

logger = logging.getLogger(__name__)


def review(
    ranking: str | Path,
    decisions: str | Path,
    *,
    reviewer: str,
    maps: Sequence[str | Path] = (),
    classifier: str | Path | None = None,
    dataset: str = "hard-ood-review",
    database: str | Path | None = None,
    wanted: int | None = None,
    address: str = "127.0.0.1",
    port: int | None = None,
    browser: bool = True,
    wait: bool = True,
) -> None:
    """Build or refresh the review's dataset and serve the App until it is interrupted.

    Args:
        ranking: Parquet of ranked candidates, see `wood.ood.ranking`.
        decisions: the decisions file; made with the first answer.
        reviewer: the name that goes into the decisions file.
        maps: shards of localization maps; a candidate's map of its predicted class is its heatmap.
        classifier: make the missing heatmaps with this classifier, kept beside `decisions`.
        dataset: name of the persistent FiftyOne dataset.
        database: folder of the MongoDB of our own; default: `fiftyone` beside `decisions`.
        wanted: accepted images wanted per class, shown with the counts.
        address, port: where the App listens; without a port the first free one from 5151.
        browser: open the App in a browser where there is a display.
        wait: serve the App; otherwise the dataset is refreshed and nothing is served.

    Raises:
        InputError: bad ranking, decisions or maps, a taken port, or a database that does not
            start, has the wrong version or stops.
    """
    check_reviewer(reviewer)
    decisions = Path(decisions).absolute()
    ranked = read_ranking(ranking)
    settled, disagreements = merge([decisions])
    log_disagreements(disagreements)
    _make_folder(decisions.parent)
    port = free_port(address, port) if wait else None
    cams = read_cams(maps, ranked)
    if classifier is not None:
        cams |= _make_cams(classifier, ranked[~ranked["image_id"].isin(cams)], decisions.parent)

    start_fiftyone(database or decisions.parent / "fiftyone", PLUGIN)
    shown = refresh_dataset(dataset, ranked, settled, cams)
    _log_counts(shown, wanted)
    if port is not None:
        session = {
            "dataset": dataset,
            "decisions": str(decisions),
            "reviewer": reviewer,
            "wanted": wanted,
        }
        try:
            _serve(dataset, session, address, port, browser)
            _log_counts(shown, wanted)
        finally:
            disconnect()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; bad input is one sentence and exit code 1."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    options = vars(_parser().parse_args(arguments))
    try:
        review(**options)
    except InputError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m wood.review.session", description=__doc__.split("\n")[0]
    )
    add = parser.add_argument
    add("--ranking", required=True, help="ranked candidates (Parquet)")
    add("--decisions", required=True, help="decisions file (CSV), made with the first answer")
    add("--reviewer", default=_user(), help="name written beside each decision (%(default)s)")
    add("--maps", nargs="+", default=[], help="shards of localization maps, shown as heatmaps")
    add("--classifier", help="classifier that makes the missing heatmaps")
    add("--dataset", default="hard-ood-review", help="name in FiftyOne (%(default)s)")
    add("--database", help="folder of the database (default: fiftyone/ beside the decisions)")
    add("--wanted", type=int, help="accepted images wanted per class, shown with the counts")
    add("--address", default="127.0.0.1", help="where the App listens (%(default)s)")
    add("--port", type=int, help=f"its port (default: the first free one from {DEFAULT_PORT})")
    add("--no-browser", dest="browser", action="store_false", help="open no browser")
    add("--no-wait", dest="wait", action="store_false", help="refresh the dataset, serve nothing")
    return parser


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


def free_port(address: str, port: int | None) -> int:
    """Return a port that nobody listens on: FiftyOne would silently attach to another's App."""
    candidates = [port] if port is not None else range(DEFAULT_PORT, DEFAULT_PORT + PORTS_TRIED)
    for candidate in candidates:
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, candidate))
            except (OSError, OverflowError) as error:
                reason = error
            else:
                return candidate
    raise InputError(f"The App cannot listen at {address}, port {candidates[-1]} ({reason}).")


def _make_cams(
    classifier: str | Path, ranking: pd.DataFrame, folder: Path
) -> dict[str, np.ndarray]:
    """Make the heatmaps of `ranking` with the classifier, once for the same images and weights."""
    from wood.data.labels import write_labels
    from wood.data.lists import write_image_list
    from wood.models.classifiers import load_classifier
    from wood.seeds.localize import localize

    if ranking.empty:
        return {}
    names = load_classifier(classifier)[1]["class_names"]
    unknown = sorted(set(ranking["class"]) - set(names))
    if unknown:
        raise InputError(f"{classifier}: this classifier does not know the class {unknown[0]!r}.")
    content = ranking[["image_id", "class"]].to_csv().encode() + Path(classifier).read_bytes()
    output = folder / f"review-cams-{hashlib.sha256(content).hexdigest()[:16]}.safetensors"
    if not output.exists():
        with tempfile.TemporaryDirectory() as temporary:
            images, labels = Path(temporary, "images.csv"), Path(temporary, "labels.parquet")
            write_image_list(images, ranking[["image_id", "path"]])
            present = {name: list(ranking["class"] == name) for name in names}
            write_labels(labels, pd.DataFrame(present, index=ranking["image_id"]))
            localize(
                *(images, labels, classifier, output),
                settings={"method": "cam", "scales": [1.0]},
                shard_index=0,
                shard_count=1,
                class_names=names,
                max_batch_pixels=1_000_000,
                max_failed_fraction=1.0,
            )
    return read_cams([output], ranking)


def _serve(dataset: str, session: dict, address: str, port: int, browser: bool) -> None:
    """Serve the App until Ctrl-C, SIGTERM, or its server or database stops."""
    os.environ["WOOD_REVIEW"] = json.dumps(session)
    # The App's server is a process of its own and imports wood for the plugin.
    root = str(Path(wood.__file__).parents[1])
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    from fiftyone.core.service import ServerService, ServiceException

    # Without a session object of FiftyOne's: the page's address names dataset and view.
    try:
        service = ServerService(port, address=address, do_not_track=True)
    except ServiceException as error:
        raise InputError(f"The review's App did not start ({error}).") from None
    host = "127.0.0.1" if address in ("0.0.0.0", "::") else address
    view = TO_REVIEW.replace(" ", "-")
    page = f"http://{host}:{port}/datasets/{quote(dataset)}?view={view}"
    print(f"The review is at {page}", flush=True)
    print("Ctrl-C ends it; every answer given is already on the disk.", flush=True)
    if browser and _has_display():
        webbrowser.open(page)

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with contextlib.suppress(KeyboardInterrupt):
            _wait_while_alive(host, port, session["decisions"])
    finally:
        _stop(service.child)


def _stop(process: "psutil.Popen") -> None:
    """Stop the App's server: politely first, for without a database it would wait for minutes."""
    import psutil

    family = [process, *process.children(recursive=True)]
    process.stdin.close()
    for survivor in psutil.wait_procs(family, timeout=SECONDS_TO_STOP)[1]:
        survivor.kill()


def _wait_while_alive(host: str, port: int, decisions: str) -> None:
    failed = {"App": 0, "database": 0}
    while True:
        time.sleep(SECONDS_BETWEEN_LOOKS)
        for part, alive in (("App", _listens(host, port)), ("database", database_answers())):
            failed[part] = 0 if alive else failed[part] + 1
            if failed[part] == FAILED_LOOKS:
                raise InputError(
                    f"The review's {part} stopped; every answer given is in {decisions}, "
                    "run the same command again to go on."
                )


def _listens(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=5).close()
    except TimeoutError:
        return True  # busy, not gone
    except OSError:
        return False
    return True


def _has_display() -> bool:
    if sys.platform in ("darwin", "win32"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _log_counts(shown: "fo.Dataset", wanted: int | None) -> None:
    if not database_answers():
        return
    for row in count_decisions(shown, wanted):
        target = f" of {wanted} wanted" if wanted is not None else ""
        logger.info(
            f"{row['class']}: {row['accepted']} accepted{target}, {row['rejected']} rejected, "
            f"{row['remaining']} to review"
        )


if __name__ == "__main__":
    sys.exit(main())
