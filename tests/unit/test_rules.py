"""How the rule files are written: short rules, and no logic that only a DAG could test."""

import re

import pytest

from tests.places import ROOT

FILES = [ROOT / "Snakefile", *sorted(ROOT.glob("rules/*.smk"))]
BEGIN = re.compile(r"^( *)(?:use )?rule\b")


def rules(text):
    """Yield the lines of each rule that are neither empty nor comments."""
    lines = text.splitlines()
    for number, line in enumerate(lines):
        if begin := BEGIN.match(line):
            rule = [line]
            for other in lines[number + 1 :]:
                if other.strip() and len(other) - len(other.lstrip()) <= len(begin[1]):
                    break
                if other.strip() and not other.lstrip().startswith("#"):
                    rule.append(other)
            yield rule


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_rule_has_at_most_25_lines(path):
    long = {rule[0].strip(): len(rule) for rule in rules(path.read_text()) if len(rule) > 25}
    assert long == {}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_functions_are_in_wood_where_tests_import_them(path):
    assert re.findall(r"^ *(?:async )?def \w+|^ *class \w+", path.read_text(), re.MULTILINE) == []


def test_what_the_rule_files_share_is_short():
    assert len((ROOT / "rules" / "common.smk").read_text().splitlines()) < 80


def test_each_rule_has_a_log_a_benchmark_an_environment_and_what_it_asks_for():
    lacking = []
    for path in FILES:
        for rule in rules(path.read_text()):
            words = {line.strip() for line in rule}
            if "script:" in words:
                needed = {"log:", "benchmark:", "conda:", "resources:"} - words
                # How long a person looks, a server takes, or a check is no figure of ours.
                needed -= {"benchmark:"} if re.search("browse|fetch_|preflight", rule[0]) else set()
                lacking += [f"{rule[0].strip()} {word}" for word in sorted(needed)]
    assert lacking == []
