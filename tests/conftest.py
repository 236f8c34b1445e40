"""What several test files share."""

import socket

import pytest
import torch


def pytest_collection_modifyitems(items):
    """With several processes, a file stays in one, and so do all users of the small demo."""
    for item in items:
        shares_demo = {"made", "copy"} & set(getattr(item, "fixturenames", ()))
        group = "small demo" if shares_demo else str(item.path)
        item.add_marker(pytest.mark.xdist_group(group))


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
