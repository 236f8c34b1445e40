"""A whole review in a headless Chromium by a reviewer who knows the truth: its looks and pictures.

    python -m tests.browser.measure_review --ranking R.parquet --features F.safetensors... \\
        --classifier model.safetensors --truth review-truth.csv --output docs/images

prints how many looks the review takes screen by screen, and how its answers agree with the truth;
and takes the pictures of docs/review.md on the way.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from selenium import webdriver

from tests.browser.review_page import ReviewCommand, ReviewPage, chromium, until
from tests.places import ROOT
from wood.ood.decisions import read_decisions, read_history
from wood.ood.hard_ood import read_truth
from wood.ood.statistics import count_looks
from wood.runtime.store import read_table


def measure(
    ranking: str, features: Sequence[str], classifier: str, truth: str, output: Path
) -> None:
    """Review a ranking as `truth` says, screen by screen."""
    objects = set(read_truth(truth).loc[lambda classes: classes != ""].index)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, chromium() as driver:
        files = [Path(path).absolute() for path in features]
        options = ["--ranking", Path(ranking).absolute(), "--features", *files]
        options += ["--classifier", Path(classifier).absolute(), "--reviewer", "ann"]
        began = time.monotonic()
        decisions = Path(folder, "decisions.csv")
        command = ReviewCommand(Path(folder), *options, "--decisions", decisions)
        try:
            page = ReviewPage(driver)
            page.open(command.page())
            print(f"{time.monotonic() - began:.1f} s from the command to the first screen")
            take_pictures(page, output)
            began = time.monotonic()
            while shown := until(lambda: page.on_stage() or ended(page), "a screen or the end"):
                if ended(page):
                    break
                answer(page, shown, objects)
                until(lambda shown=shown: page.on_stage() != shown, "the next screen")
            until(lambda: not page.waiting(), "all answers recorded")
            print(f"{time.monotonic() - began:.1f} s for the script to answer")
        finally:
            command.stop()
        report(read_table(ranking), decisions, objects)


def ended(page: ReviewPage) -> bool:
    return page.text("wood-stage").startswith("Every image is answered")


def answer(page: ReviewPage, shown: list[str], objects: set[str]) -> None:
    """Click the fewer ones of a screen, and answer for the rest with one key."""
    there = [image for image in shown if image in objects]
    free = [image for image in shown if image not in objects]
    fewer, key = (there, "a") if len(there) <= len(free) else (free, "d")
    for image in fewer:
        page.tile(image).click()
    page.press(key)


def report(ranking, decisions: Path, objects: set[str]) -> None:
    answers = read_decisions(decisions)
    right = (answers["decision"] == "reject") == answers["image_id"].isin(objects)
    looks = count_looks(ranking, read_history(decisions))
    print(f"{len(answers)} of {len(ranking)} answered, {right.mean():.1%} as the truth has it")
    print(f"{looks['looks']} looks: {looks['screens']} screens, {looks['singles']} single images")


def take_pictures(page: ReviewPage, output: Path) -> None:
    shown = page.on_stage()
    page.tile(shown[7]).click()
    page.point_at(page.tile(shown[11]))
    shoot(page.driver, output / "review-screen.png")
    page.press("o")
    until(lambda: len(page.on_stage()) == 1, "one image")
    page.press("h")
    until(lambda: page.run("return document.querySelector('.wood-map')"), "the heatmap")
    shoot(page.driver, output / "review-image.png")
    page.press("h")
    page.press("g")
    until(lambda: len(page.thumbnails()) > 5, "the grid")
    time.sleep(3)
    for number in (1, 2, 4):
        page.select(number)
    shoot(page.driver, output / "review-fiftyone.png")
    page.press("g")
    page.wait_until_drawn()


def shoot(driver: webdriver.Chrome, path: Path) -> None:
    """Write a screenshot as a small PNG of 256 colours, for the documentation."""
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    time.sleep(0.5)
    driver.save_screenshot(str(path))
    with Image.open(path) as image:
        small = image.convert("RGB").resize((image.width * 3 // 4, image.height * 3 // 4))
    small.quantize(256, dither=Image.Dither.FLOYDSTEINBERG).save(path, optimize=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    for name in ("--ranking", "--classifier", "--truth"):
        parser.add_argument(name, required=True)
    parser.add_argument("--features", nargs="+", required=True)
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "images")
    measure(**vars(parser.parse_args()))
