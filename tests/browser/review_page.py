"""The review in a headless Chromium: starts the command and presses keys."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import psutil
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException, WebDriverException
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from tests.places import ROOT

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
    """`python -m wood review` as a process of its own."""

    def __init__(self, folder: Path, *options: str, environment: dict[str, str] | None = None):
        self.log = folder / f"review-{time.monotonic_ns()}.log"
        if "--port" not in options:
            options = (*options, "--port", str(free_port()))
        command = [sys.executable, "-m", "wood", "review", *map(str, options)]
        kept = {name: text for name, text in os.environ.items() if not name.startswith("FIFTYONE")}
        with self.log.open("w") as log:
            self.process = psutil.Popen(
                command,
                cwd=folder,
                env={**kept, "PYTHONPATH": str(ROOT), "HOME": str(folder), **(environment or {})},
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
            )
        self.family: list[psutil.Process] = []

    def page(self, patience: float = PATIENCE) -> str:
        """Wait for the App and return its address."""

        def look() -> re.Match | None:
            assert self.process.poll() is None, self.output()
            return re.search(r"The review is at (\S+)", self.output())

        address = until(look, "the App", patience).group(1)
        self.family = self.process.children(recursive=True)
        return address

    def output(self) -> str:
        return self.log.read_text()

    def last_line(self) -> str:
        """Return what the command said last, such as the sentence it ended with."""
        return self.output().strip().splitlines()[-1]

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
        return [child for child in self.family if "wood.review.server" in child.cmdline()[:3]]

    def stop(self, how: int = signal.SIGTERM) -> None:
        """End the command and wait until what it started is gone, too."""
        if self.process.is_running():
            self.process.send_signal(how)
        gone = [self.process, *self.family]
        _, alive = psutil.wait_procs(gone, timeout=30)
        for process in alive:
            process.kill()
        psutil.wait_procs(alive, timeout=30)


def post(address: str, dataset: str, presses: list[dict]) -> dict:
    """Send what a page of `dataset` would send to the server at `address`; return its answer."""
    server = "/".join(address.split("/")[:3])
    body = {"operator_uri": "@wood/review/record", "dataset_name": dataset}
    request = Request(
        f"{server}/operators/execute",
        json.dumps(body | {"params": {"presses": presses}}).encode(),
        {"Content-Type": "application/json"},
    )
    try:
        return json.loads(urlopen(request, timeout=60).read())
    except (OSError, HTTPException) as error:
        return {"error": str(error)}


class ReviewPage:
    """The App's page as a reviewer sees it."""

    def __init__(self, driver: webdriver.Chrome):
        self.driver = driver
        self.run = driver.execute_script

    def open(self, address: str) -> None:
        """Load the page and wait for what it shows first."""
        self.driver.get(address)
        self.wait_until_drawn()

    def wait_until_drawn(self) -> list[str]:
        """Wait for the pictures; return the image ids on the stage."""
        return until(self.on_stage, "the pictures of the stage")

    def on_stage(self) -> list[str]:
        script = "return document.querySelector('[data-cy=wood-stage]')?.dataset.drawn ?? ''"
        return self.run(script).split()

    def asked_hosts(self) -> set[str]:
        """Return the hosts that the page has got anything from."""
        script = (
            "return performance.getEntriesByType('resource')"
            ".filter((entry) => entry.transferSize).map((entry) => entry.name)"
        )
        addresses = [urlsplit(address) for address in self.run(script)]
        return {address.hostname for address in addresses if address.scheme in ("http", "https")}

    def text(self, name: str) -> str:
        script = "return document.querySelector(arguments[0])?.innerText ?? ''"
        return " ".join(self.run(script, f'[data-cy="{name}"]').split())

    def press(self, key: str) -> None:
        ActionChains(self.driver).send_keys(key).perform()

    def key_down(self, key: str) -> None:
        """Press a key with as little between two of them as the browser allows."""
        for kind in ("keyDown", "keyUp"):
            press = {"type": kind, "key": key, "text": key if kind == "keyDown" else ""}
            self.driver.execute_cdp_cmd("Input.dispatchKeyEvent", press)

    def wait_for_report(self, report: str, name: str = "wood-said") -> None:
        """Wait until the bar says what starts with `report`, and everything is recorded."""
        until(
            lambda: self.text(name).startswith(report) and not self.waiting(),
            f"{report!r}, but {self.text(name)!r}",
        )

    def waiting(self) -> int:
        """How many presses the server has not confirmed."""
        return self.run("return window.woodReview.waiting.length")

    def tile(self, image_id: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, f'[data-image="{image_id}"]')

    def point_at(self, element: WebElement) -> None:
        ActionChains(self.driver).move_to_element(element).perform()

    def thumbnails(self) -> list[WebElement]:
        """The thumbnails of FiftyOne's grid whose picture is drawn, in the page's order."""
        drawn = '[data-cy="looker"]:has(canvas[canvas-loaded="true"])'
        return self.driver.find_elements(By.CSS_SELECTOR, drawn)

    def select(self, number: int) -> None:
        """Select a thumbnail of FiftyOne's grid, which may just be drawing them anew."""

        def try_it() -> bool:
            with suppress(StaleElementReferenceException, IndexError):
                thumbnail = self.thumbnails()[number]
                self.point_at(thumbnail)
                box = thumbnail.find_element(By.CSS_SELECTOR, 'input[type="checkbox"]')
                if not box.get_property("checked"):
                    self.run("arguments[0].click()", box)
                return "selectionIcon" in box.get_attribute("class")
            return False

        until(try_it, "the selection")

    def opened(self) -> str:
        """The id of the image that is open in FiftyOne and drawn, else ""."""
        look = """
            const drawn = document.querySelector('[data-cy="modal"] canvas[canvas-loaded="true"]');
            return drawn ? document.querySelector('[data-cy="modal"]').innerText : "";
        """
        found = re.search(r"\b[0-9a-f]{16}\b", self.run(look))
        return found.group() if found else ""

    def open_image(self, thumbnail: WebElement) -> None:
        thumbnail.find_element(By.TAG_NAME, "canvas").click()
        until(lambda: self.text("modal"), "the opened image")


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
