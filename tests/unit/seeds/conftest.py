"""What tests of classifiers share."""

import pytest

from tests.unit.seeds.small_training import write_data


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """The folder of what `write_data` writes."""
    folder = tmp_path_factory.mktemp("classifier")
    write_data(folder)
    return folder
