"""What several test files share."""

import os
import signal
import socket
from unittest import mock

# The tests' tolerances are those of the CPU. `make gpu` runs those that are for CUDA.
if not os.environ.get("WOOD_TEST_CUDA"):
    os.environ["CUDA_VISIBLE_DEVICES"] = ""

# What a shell starts in the background ignores Ctrl-C, and so does all that is started by it; the
# tests press Ctrl-C.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

import pytest
import torch

from tests.server import Server

# Files that take long begin first, so that both processes end together. The very first makes the
# small run (`made`), which a second one would wait for.
FIRST = (
    *("workflow/test_pipeline", "browser/test_review_app", "workflow/test_slurm"),
    *("workflow/test_reruns", "workflow/test_own_data", "workflow/test_bad_input"),
    *("workflow/test_items", "workflow/test_rehearsal", "golden/test_cam", "models/test_backbones"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order the test files."""

    def turn(item: pytest.Item) -> int:
        file = item.path.with_suffix("").as_posix()
        return next((turn for turn, name in enumerate(FIRST) if file.endswith(name)), len(FIRST))

    items.sort(key=turn)


@pytest.fixture(autouse=True)
def own_environment():
    """The variables that a test sets, or the code that it calls, are those of no other test."""
    with mock.patch.dict(os.environ):
        yield


@pytest.fixture(autouse=True)
def one_thread():
    """The same bytes hold for a fixed number of threads."""
    torch.set_num_threads(1)


@pytest.fixture
def free_port() -> int:
    """A port of the loopback address that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def server():
    """A server on the loopback address; see `tests.server`."""
    server = Server()
    yield server
    server.close()
