"""At least 200 broken inputs, over every reader: each is refused in one clear sentence."""

import copy
import os
import resource
import time
from collections import Counter

import numpy as np
import pytest
import yaml

from tests.places import ROOT
from tests.unit.broken import cases
from wood.runtime.errors import InputError
from wood.workflow.checks import check

SEED = 0
MOST_SECONDS = 5
MOST_MEGABYTES = 700  # beyond what the process has before


def outcome(case):
    """What came of a case: "refused", "read", or what is wrong with how it ended."""
    started = time.process_time()
    try:
        case.read(case.path)
    except InputError as error:
        sentence = str(error)
        if "\n" in sentence or case.path.name not in sentence:
            return f"an unclear sentence: {sentence!r}"
        result = "refused"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    else:
        result = "read" if case.may_be_readable else "taken for whole"
    seconds = time.process_time() - started
    return f"{seconds:.1f} s" if seconds > MOST_SECONDS else result


def test_broken_files_are_refused_in_one_sentence(tmp_path, monkeypatch):
    inside = tmp_path / "inside"
    inside.mkdir()
    monkeypatch.chdir(inside)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    ended = [(case.name, outcome(case)) for case in cases(inside, SEED)]
    assert [(name, end) for name, end in ended if end not in ("refused", "read")] == []
    assert len(ended) >= 200
    assert Counter(end for _, end in ended)["refused"] >= 170
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before < MOST_MEGABYTES
    assert os.listdir(tmp_path) == ["inside"]
    assert not (inside / "unpickled").exists()
    assert not os.path.exists("/tmp/wood-outside")


BASE = yaml.safe_load((ROOT / "config.yaml").read_text())
WRONG = [None, -1, 10**30, "", "wrong", [], [None], {}, {"a": 1}, 0.5, True, float("nan")]


def leaves(tree, prefix=()):
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, (*prefix, key))
        else:
            yield (*prefix, key)


def test_broken_configurations_are_refused_by_the_key():
    """A wrong value at a random key, a misspelt key, a missing one."""
    rng = np.random.default_rng(SEED)
    keys = list(leaves(BASE))
    sentences = []
    for number in range(60):
        config = copy.deepcopy(BASE)
        key = keys[rng.integers(len(keys))]
        place = config
        for part in key[:-1]:
            place = place[part]
        if number % 3 == 0:
            place[key[-1]] = WRONG[rng.integers(len(WRONG))]
        elif number % 3 == 1:
            place[key[-1] + "z"] = place.pop(key[-1])
        else:
            del place[key[-1]]
        try:
            check(config)
        except InputError as error:
            sentences.append(str(error))
    assert len(sentences) >= 40
    assert [
        text for text in sentences if not text.startswith("Configuration") or "\n" in text
    ] == []


@pytest.mark.parametrize("value", [[], "text", 3, None, {"dataset": 3}])
def test_what_is_no_configuration_is_refused(value):
    with pytest.raises(InputError):
        check(value)
