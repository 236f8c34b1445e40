"""What several test files share."""

import os
import socket

# The tests' tolerances are those of the CPU. `make gpu` runs those that are for CUDA.
if not os.environ.get("WOOD_TEST_CUDA"):
    os.environ["CUDA_VISIBLE_DEVICES"] = ""

import pytest
import torch

from tests.server import Server


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
