"""The hard OoD set: ranked candidates without a foreground object (paper, Sec. 3.1)."""

import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from wood.data.lists import check_ids, read_image_list
from wood.data.tables import read_table as read_csv
from wood.data.tables import write_table
from wood.data.voc import FILE_NAME, read_entries
from wood.ood.decisions import ACCEPT, REJECT, log_disagreements, merge, read_history
from wood.ood.download import FAILED, MISSING, OK
from wood.ood.ranking import class_thresholds
from wood.ood.statistics import review_statistics
from wood.runtime.errors import InputError
from wood.runtime.sentences import listed, quoted
from wood.runtime.store import read_table, write_json

logger = logging.getLogger(__name__)

COLUMNS = ["image_id", "split", "class", "score", "path", "license", "author", "url"]
POLICIES = ("decisions", "truth", "none")


def select_hard_ood(
    ranking: str | Path,
    output: str | Path,
    statistics: str | Path,
    *,
    policy: str,
    answers: str | Path | Sequence[str | Path] | None = None,
    images: Sequence[str | Path] = (),
    classes: Sequence[str] = (),
    minimum: int = 1,
    max_unmatched_fraction: float = 0.5,
) -> pd.DataFrame:
    """Take the accepted images of a ranking as the hard OoD set, and count what that cost.

    Args:
        ranking: what `wood.ood.ranking.rank` wrote.
        output: hard_ood.csv, hardest first: `COLUMNS`.
        statistics: review_stats.json, see `review_statistics`, with `disagreements`: images on
            which reviewers disagree, where the stricter answer (reject) wins.
        policy: "decisions" (a person's; undecided images are not used), "truth" (a file answers in
            a person's place), or "none" (no pruning).
        answers: one or several decisions.csv; with the policy "truth" a CSV of image id and
            foreground class, empty where there is none; with "none" it is not read.
        images: the manifests of all candidates (see `download_images`), to count the photographs.
        classes: the foreground classes, for the order in the statistics.
        minimum: fewest images that the next steps can use, such as the number of clusters K.
        max_unmatched_fraction: share of the decided images that may be outside the ranking, and of
            the ranked ones that the truth may not name.

    Raises:
        InputError: the policy is unknown or lacks its file, answers and ranking do not belong
            together, or there are too few accepted images.
    """
    ranked = read_table(ranking)
    decided, history, disagreements = _answers(
        ranking, ranked, policy, answers, max_unmatched_fraction
    )
    chosen = ranked
    if policy != "none":
        accepted = decided.loc[decided["decision"] == ACCEPT, "image_id"]
        chosen = ranked[ranked["image_id"].isin(accepted)]
    if len(chosen) < max(1, minimum):
        raise InputError(_too_few(ranking, policy, len(ranked), len(decided), len(chosen), minimum))
    write_hard_ood(output, chosen)
    stats = review_statistics(
        ranked,
        decided,
        policy=policy,
        photographs=_count_photographs(images),
        used=len(chosen),
        classes=classes,
        history=history,
    )
    write_json(statistics, stats | {"disagreements": disagreements})
    logger.info("%d hard OoD images of %d above the threshold", len(chosen), len(ranked))
    return chosen[COLUMNS]


def _answers(
    ranking: str | Path,
    ranked: pd.DataFrame,
    policy: str,
    answers: str | Path | Sequence[str | Path] | None,
    most_unmatched: float,
) -> tuple[pd.DataFrame, pd.DataFrame | None, list[dict[str, Any]]]:
    """Return the answers to ranked images, the history they come from, and disagreements.

    Answers have the columns image_id and decision; only a person's have a history.
    """
    if policy == "none":
        return pd.DataFrame({"image_id": [], "decision": []}, dtype=object), None, []
    if policy == "truth":
        files = _files(answers, policy)
        known = read_truth(files[0])
        check_join(ranked["image_id"], known.index, [ranking], files, most_unmatched)
        named = ranked["image_id"][ranked["image_id"].isin(known.index)]
        decided = np.where(known[named].astype(bool), REJECT, ACCEPT)
        return pd.DataFrame({"image_id": named.to_numpy(), "decision": decided}), None, []
    if policy != "decisions":
        raise InputError(f"ood.review.policy: {policy!r} is none of {', '.join(POLICIES)}.")
    files = _files(answers, policy)
    histories = [read_history(file) for file in files]
    history = pd.concat(histories, ignore_index=True).drop_duplicates() if files else None
    settled, conflicts = merge(files)
    log_disagreements(conflicts)
    check_join(settled["image_id"], ranked["image_id"], files, [ranking], most_unmatched)
    settled = settled[settled["image_id"].isin(ranked["image_id"])]
    return settled, history, conflicts.to_dict("records")


def check_join(
    ids: Iterable[str],
    others: Iterable[str],
    files: Sequence[str | Path],
    other_files: Sequence[str | Path],
    most: float,
) -> None:
    """Refuse two files that do not belong together.

    Args:
        ids: of `files`, each of which is looked for among `others`.
        others: the ids of `other_files`.
        files, other_files: for the message.
        most: share of `ids` that may be missing; all of them never may.

    Raises:
        InputError: more of them are missing; the sentence names an id of each side.
    """
    ids, others = list(dict.fromkeys(ids)), set(others)
    missing = [image_id for image_id in ids if image_id not in others]
    if not missing or (len(missing) < len(ids) and len(missing) <= most * len(ids)):
        return
    theirs = f", which name {quoted(min(others))}, for one" if others else ""
    count = "none" if len(missing) == len(ids) else f"only {len(ids) - len(missing)}"
    allowed = (
        ""
        if len(missing) == len(ids)
        else (f" (ood.review.max_unmatched_fraction allows {most:g} to be missing)")
    )
    raise InputError(
        f"{', '.join(map(str, files))}: {count} of its {len(ids)} images, such as "
        f"{quoted(missing[0])}, is in {', '.join(map(str, other_files))}{theirs}: the files do not "
        f"belong together{allowed}."
    )


def select_unreviewed_ood(
    ranking: str | Path, output: str | Path, *, minimum: int = 1
) -> pd.DataFrame:
    """Take every ranked candidate, rejected ones too: the hard OoD set if nobody reviewed it.

    Args:
        ranking: what `wood.ood.ranking.rank` wrote, its cap for each class applied.
        output: a CSV with the columns of hard_ood.csv.
        minimum: fewest images that the next steps can use, such as the number of clusters K.

    Raises:
        InputError: there are fewer ranked candidates.
    """
    ranked = read_table(ranking)
    if len(ranked) < minimum:
        raise InputError(
            f"{ranking}: {len(ranked)} candidates are above the threshold, at least {minimum} "
            "needed: lower ood.threshold or the number K."
        )
    write_hard_ood(output, ranked)
    return ranked[COLUMNS]


def _count_photographs(manifests: Sequence[str | Path]) -> dict[str, int] | None:
    if not manifests:
        return None
    statuses = pd.concat([read_table(path, ["status"])["status"] for path in manifests])
    return {status: int((statuses == status).sum()) for status in (OK, MISSING, FAILED)}


def write_hard_ood(path: str | Path, images: pd.DataFrame) -> None:
    """Write hard_ood.csv: `COLUMNS`, scores with six digits."""
    write_table(path, images[COLUMNS], float_format="%.6f")


def read_truth(path: str | Path) -> pd.Series:
    """Read a truth file: for each image id the foreground class in it, "" where there is none.

    The first column is ImageID or image_id, the second the class (its name is free).

    Raises:
        InputError: the file is missing, has other columns, or names an image twice.
    """
    table = read_csv(path, what="truth file")
    if len(table.columns) < 2 or table.columns[0] not in ("ImageID", "image_id"):
        raise InputError(
            f"{path}: the columns are not image_id and foreground_class; columns found: "
            f"{listed(table.columns)}."
        )
    ids = check_ids(path, table.iloc[:, 0])
    return pd.Series(table.iloc[:, 1].to_numpy(), index=ids, dtype=object)


def select_random_ood(
    manifests: Sequence[str | Path],
    scores: Sequence[str | Path],
    output: str | Path,
    *,
    count: int,
    seed: int,
    threshold: float | Mapping[str, float],
    policy: str,
    ranking: str | Path | None = None,
    answers: str | Path | Sequence[str | Path] | None = None,
) -> pd.DataFrame:
    """Take random candidates without a foreground object: the control of the hard OoD set.

    A reviewer is shown the hard candidates only. So with the policy "decisions" those that were not
    accepted are out, undecided ones too, and the candidates below the threshold are taken for free
    of objects, unseen: neither a label nor F_in says that there is one. With "truth" the file
    answers for every candidate, with "none" each may be drawn.

    Args:
        manifests: the manifests of all candidates (see `download_images`).
        scores: the score shards; an unreadable image has no score and is out.
        output: a CSV with the columns of hard_ood.csv.
        count: images to take.
        seed: of the sample.
        threshold: p(c) from which a candidate is hard; or one for each class.
        ranking: the candidates that a reviewer is shown, which are hard whatever their score.
        policy, answers: as in `select_hard_ood`.

    Raises:
        InputError: fewer than `count` candidates are taken for free of foreground objects.
    """
    scored = pd.concat([read_table(path, ["image_id", "class", "score"]) for path in scores])
    images = pd.concat([read_table(path) for path in manifests], ignore_index=True)
    images = images.merge(scored, on="image_id")
    if policy == "decisions":
        settled, _ = merge(_files(answers, policy))
        accepted = settled.loc[settled["decision"] == ACCEPT, "image_id"]
        shown = [] if ranking is None else read_table(ranking, ["image_id"])["image_id"]
        easy = images["score"] < class_thresholds(images["class"], threshold)
        free = images["image_id"].isin(accepted) | (easy & ~images["image_id"].isin(shown))
    elif policy == "truth":
        known = read_truth(_files(answers, policy)[0])
        free = images["image_id"].isin(known.index[known == ""])
    elif policy == "none":
        free = pd.Series(True, index=images.index)
    else:
        raise InputError(f"ood.review.policy: {policy!r} is none of {', '.join(POLICIES)}.")
    images = images[free].sort_values("image_id", ignore_index=True)
    if len(images) < count:
        raise InputError(
            f"{output}: {count} random OoD images are wanted, but only {len(images)} candidates "
            "are taken for free of foreground objects."
        )
    picked = np.random.default_rng(seed).choice(len(images), size=count, replace=False)
    chosen = images.iloc[np.sort(picked)]
    write_hard_ood(output, chosen)
    return chosen[COLUMNS]


def from_list(listing: str | Path, images: str | Path | None, output: str | Path) -> pd.DataFrame:
    """Take an existing OoD set (`ood.source: list`), such as the authors' ood_list.txt.

    Args:
        listing: a text file with one image file name a line (without an ending, .jpg is meant), or
            a CSV with the columns image_id and path, and possibly others of hard_ood.csv.
        images: the folder that the names are relative to; None takes that of the list.
        output: hard_ood.csv; what the list does not say is empty.

    Raises:
        InputError: the list is missing or empty, a name leaves the folder, or an image is missing.
    """
    listing = Path(listing)
    folder = Path(images) if images else listing.parent
    is_csv = listing.suffix.lower() == ".csv"
    table = read_image_list(listing) if is_csv else _read_names(listing)
    table["path"] = [_existing(listing, folder, name) for name in table["path"]]
    for column in COLUMNS:
        if column not in table.columns:
            table[column] = ""
    write_hard_ood(output, table)
    return table[COLUMNS]


def _read_names(listing: Path) -> pd.DataFrame:
    entries = read_entries(listing, "list of OoD images")
    paths = [name if FILE_NAME.match(name) else f"{name}.jpg" for name in entries.values()]
    return pd.DataFrame({"image_id": list(entries), "path": paths})


def _existing(listing: Path, folder: Path, name: str) -> str:
    if ".." in Path(name).parts:
        raise InputError(f"{listing}: {name!r} leaves the folder of the images.")
    path = folder / name
    if not os.path.isfile(path):  # false for names that the file system does not take, too
        raise InputError(f"{listing}: the image {path} is missing.")
    return str(path.resolve())


def _files(paths: str | Path | Sequence[str | Path] | None, key: str) -> list[Path]:
    if paths is None:
        raise InputError(f"ood.review.{key}: the policy needs a file.")
    listed = [paths] if isinstance(paths, str | Path) else list(paths)
    return [Path(path) for path in listed]


def _too_few(
    ranking: str | Path, policy: str, ranked: int, checked: int, chosen: int, minimum: int
) -> str:
    found = f"{ranking}: {chosen} hard OoD images are accepted, at least {max(1, minimum)} needed"
    if policy == "decisions" and checked < ranked:
        left = ranked - checked
        return (
            f"{found}; {left} images are not decided yet: run `snakemake review` with the options "
            "of this run."
        )
    return f"{found}; all {checked or ranked} were looked at: lower ood.threshold or the number K."
