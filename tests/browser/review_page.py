"""The review in a headless Chromium: starts the command, presses keys, takes the screenshots.

    python -m tests.browser.review_page --ranking R.parquet --maps SHARD... --output docs/images

makes the screenshots of docs/review.md from a ranking and the localization maps of its images.
"""

import argparse
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

ROOT = Path(__file__).parents[2]
PATIENCE = 90
FLAGS = [
    *["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"],
    *["--disable-background-networking", "--disable-component-update", "--disable-sync"],
    *["--disable-dev-shm-usage", "--window-size=1440,900"],
]


def until(look: Callable[[], Any], what: str, seconds: float = PATIENCE) -> Any:
    """Return the first true value that `look` gives."""
    end = time.monotonic() + seconds
    while True:
        if value := look():
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not seen within {seconds} s: {what}")
        time.sleep(0.1)


def free_port() -> int:
    """A port that nobody listens on: the default one may be another review's."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class ReviewCommand:
    """`python -m wood.review.session` as a process of its own."""

    def __init__(self, folder: Path, *options: str, environment: dict[str, str] | None = None):
        self.log = folder / "review.log"
        if "--port" not in options:
            options = (*options, "--port", str(free_port()))
        command = [sys.executable, "-m", "wood.review.session", *map(str, options)]
        kept = {name: text for name, text in os.environ.items() if not name.startswith("FIFTYONE")}
        with self.log.open("w") as log:
            self.process = psutil.Popen(
                command,
                cwd=ROOT,
                env={**kept, "HOME": str(folder), **(environment or {})},
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
            )
        self.family: list[psutil.Process] = []

    def page(self) -> str:
        """Wait for the App and return its address."""

        def look() -> re.Match | None:
            assert self.process.poll() is None, self.output()
            return re.search(r"The review is at (\S+)", self.output())

        address = until(look, "the App").group(1)
        self.family = self.process.children(recursive=True)
        return address

    def output(self) -> str:
        return self.log.read_text()

    def mongod(self) -> psutil.Process:
        return next(child for child in self.family if child.name() == "mongod")

    def listens_at(self) -> set[str]:
        """Return the addresses that the command and what it started listen at."""
        return {
            connection.laddr.ip
            for process in [self.process, *self.family]
            for connection in process.net_connections("inet")
            if connection.status == psutil.CONN_LISTEN
        }

    def servers(self) -> list[psutil.Process]:
        return [child for child in self.family if "main.py" in child.cmdline()]

    def stop(self, how: int = signal.SIGTERM) -> None:
        """End the command and wait until what it started is gone, too."""
        if self.process.is_running():
            self.process.send_signal(how)
        gone = [self.process, *self.family]
        _, alive = psutil.wait_procs(gone, timeout=30)
        for process in alive:
            process.kill()
        psutil.wait_procs(alive, timeout=30)


class ReviewPage:
    """The App's page as a reviewer sees it."""

    def __init__(self, driver: webdriver.Chrome):
        self.driver = driver

    def open(self, address: str) -> None:
        """Load the page; FiftyOne's greeting would lie over the images, so it counts as seen."""
        self.driver.get(address)
        self.driver.execute_script(
            "localStorage.setItem('fiftyone-enterprise-tooltip-seen', 'true')"
        )
        self.driver.get(address)
        until(lambda: self.counts() and self.loaded(), "counts and images")

    def asked_hosts(self) -> set[str]:
        """Return the hosts that the page has asked for anything."""
        script = "return performance.getEntriesByType('resource').map((entry) => entry.name)"
        addresses = [urlsplit(address) for address in self.driver.execute_script(script)]
        return {address.hostname for address in addresses if address.scheme in ("http", "https")}

    def kill(self) -> None:
        """End the browser as a crash would."""
        processes = psutil.Process(self.driver.service.process.pid).children(recursive=True)
        for process in processes:
            process.kill()
        psutil.wait_procs(processes, timeout=30)

    def loaded(self) -> list[WebElement]:
        """The thumbnails whose picture is drawn, in the page's order."""
        drawn = '[data-cy="looker"]:has(canvas[canvas-loaded="true"])'
        return self.driver.find_elements(By.CSS_SELECTOR, drawn)

    def wait_for_images(self, count: int) -> list[WebElement]:
        until(lambda: len(self.loaded()) == count, f"{count} images")
        return self.loaded()

    def text(self, name: str) -> str:
        script = "return document.querySelector(arguments[0])?.innerText ?? ''"
        return self.driver.execute_script(script, f'[data-cy="{name}"]')

    def counts(self) -> str:
        return " ".join(self.text("wood-counts").split())

    def said(self) -> str:
        return self.text("wood-said")

    def press(self, key: str, report: str) -> None:
        """Press a key and wait until the bar says what starts with `report`."""
        ActionChains(self.driver).send_keys(key).perform()
        self.wait_for_report(report)

    def click(self, name: str, report: str) -> None:
        self.driver.find_element(By.CSS_SELECTOR, f'[data-cy="{name}"]').click()
        self.wait_for_report(report)

    def wait_for_report(self, report: str) -> None:
        until(lambda: self.said().startswith(report), f"{report!r}, but {self.said()!r}")

    def point_at(self, thumbnail: WebElement) -> None:
        ActionChains(self.driver).move_to_element(thumbnail).perform()

    def select(self, thumbnail: WebElement) -> None:
        self.point_at(thumbnail)
        box = thumbnail.find_element(By.CSS_SELECTOR, 'input[type="checkbox"]')
        self.driver.execute_script("arguments[0].click()", box)
        until(lambda: "selectionIcon" in box.get_attribute("class"), "the selection")

    def open_image(self, thumbnail: WebElement) -> None:
        thumbnail.find_element(By.TAG_NAME, "canvas").click()
        until(lambda: self.text("modal"), "the opened image")

    def opened(self) -> str:
        """The sidebar beside the opened image, which names it."""
        return self.text("modal")

    def close_image(self) -> None:
        ActionChains(self.driver).send_keys(Keys.ESCAPE).perform()
        until(lambda: not self.text("modal"), "the closed image")


@contextmanager
def chromium() -> Iterator[webdriver.Chrome]:
    """A headless Chromium with a profile of its own."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or shutil.which("google-chrome") or ""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        for flag in [*FLAGS, f"--user-data-dir={profile}"]:
            options.add_argument(flag)
        service = webdriver.ChromeService(executable_path=shutil.which("chromedriver"))
        driver = webdriver.Chrome(options=options, service=service)
        try:
            yield driver
        finally:
            with suppress(WebDriverException):  # it may have been killed
                driver.quit()


def take_screenshots(ranking: str, maps: Sequence[str], output: Path) -> None:
    """Write review-grid.png, review-selection.png and review-image.png to `output`."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary, chromium() as driver:
        folder = Path(temporary)
        options = ["--ranking", ranking, "--decisions", folder / "decisions.csv"]
        options += ["--reviewer", "ann", "--wanted", "20", *(["--maps", *maps] if maps else [])]
        command = ReviewCommand(folder, *options)
        try:
            page = ReviewPage(driver)
            page.open(command.page())
            time.sleep(3)
            page.point_at(page.loaded()[5])
            _shoot(driver, output / "review-grid.png")
            for number in (0, 2, 3):
                page.select(page.loaded()[number])
            _shoot(driver, output / "review-selection.png")
            page.click("wood-reject", "Rejected: 3 images")
            time.sleep(3)
            page.open_image(page.loaded()[0])
            time.sleep(2)
            for key, report in (("d", "Rejected"), ("a", "Accepted"), ("d", "Rejected")):
                page.press(key, report)
                time.sleep(2)
            _shoot(driver, output / "review-image.png")
        finally:
            command.stop()


def _shoot(driver: webdriver.Chrome, path: Path) -> None:
    """Write a screenshot as a small PNG of 256 colours, for the documentation."""
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    driver.save_screenshot(str(path))
    with Image.open(path) as image:
        small = image.convert("RGB").resize((image.width * 3 // 4, image.height * 3 // 4))
    small.quantize(256, dither=Image.Dither.FLOYDSTEINBERG).save(path, optimize=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--ranking", required=True)
    parser.add_argument("--maps", nargs="*", default=[])
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "images")
    take_screenshots(**vars(parser.parse_args()))
