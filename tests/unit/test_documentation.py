"""What the documentation tells to type exists: commands, their options, configurations, links."""

import re
import shlex
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml
from snakemake.cli import get_argument_parser, parse_config

from tests.places import ROOT
from wood.cli import COMMANDS, make_parser
from wood.report.items import ITEMS, documented
from wood.workflow.checks import check
from wood.workflow.resolve import over, typed

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
CONFIGS = sorted(ROOT.glob("configs/**/*.yaml"))
BASE = yaml.safe_load((ROOT / "config.yaml").read_text())
PLACEHOLDERS = {"my.yaml", "configs/X.yaml"}  # the reader's own overlay


def name(path):
    return str(path.relative_to(ROOT))


def blocks(path, language=None):
    """Return the fenced blocks of a page, of one language or of all."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", path.read_text(), re.MULTILINE | re.DOTALL)
    return [text for kind, text in found if language in (None, kind)]


def code(path):
    """Return the lines of code: fenced, indented and inline; of a YAML file the comments."""
    text = path.read_text()
    if path.suffix == ".yaml":
        return re.sub(r"^# *", "", text, flags=re.MULTILINE)
    fenced = "".join(blocks(path))
    rest = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    indented = re.findall(r"^    (.*)$", rest, re.MULTILINE)
    inline = [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", rest)]
    return "\n".join([fenced, *indented, *inline])


def commands(path, start):
    """Return the words of each command of a page that begins with `start`."""
    lines = re.sub(r"\\\n", " ", code(path)).splitlines()
    return [
        shlex.split(line, comments=True)
        for line in (line.strip().removeprefix("$ ") for line in lines)
        if line.startswith(start)
    ]


@pytest.mark.parametrize("path", [*PAGES, *CONFIGS], ids=name)
def test_snakemake_understands_each_command(path):
    """Targets exist and overlays fit; `--configfile a.yaml target` would take two overlays."""
    rules = set(ITEMS)  # each has a target
    for file in [ROOT / "Snakefile", *ROOT.glob("rules/*.smk")]:
        rules |= set(re.findall(r"^ *rule (\w+):", file.read_text(), re.MULTILINE))
    for command in commands(path, "snakemake "):
        options = get_argument_parser().parse_args(command[1:])
        unknown = [target for target in options.targets if target not in rules]
        assert unknown == [], command
        for profile in options.profile or []:
            assert (ROOT / profile / "config.yaml").exists(), command
        overlays = []
        for overlay in map(str, options.configfile):
            if overlay not in PLACEHOLDERS:
                assert (ROOT / overlay).is_file(), command
                overlays.append(yaml.safe_load((ROOT / overlay).read_text()))
        check(over(BASE, [*overlays, typed(parse_config(options.config))]))


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_each_module_and_option_exists(path):
    for command in commands(path, "python -m "):
        module = find_spec(command[2])
        assert module, command
        source = Path(module.origin).read_text()
        for option in (word for word in command[3:] if word.startswith("--")):
            assert option == "--help" or f'"{option}"' in source, command


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_the_command_wood_knows_each_command(path):
    for command in commands(path, "wood "):
        assert command[1] in COMMANDS, command
        if len(command) > 2 and "--help" not in command:
            make_parser(command[1]).parse_args(command[1:])


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_each_target_of_make_exists(path):
    targets = set(re.findall(r"^(\w[\w-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for command in commands(path, "make "):
        assert set(command[1:]) <= targets, command


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_each_overlay_on_a_page_is_a_configuration(path):
    for text in blocks(path, "yaml"):
        check(over(BASE, [yaml.safe_load(text)]))


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_each_link_within_the_repository_leads_somewhere(path):
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", path.read_text())
    missing = [link for link in links if "://" not in link and not (path.parent / link).exists()]
    assert missing == []


def anchors(page):
    """The names that GitHub gives the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    words = [re.sub(r"\[(.*?)\]\(.*?\)", r"\1", heading).strip().lower() for heading in headings]
    return {re.sub(r"[^\w\- ]", "", text).replace(" ", "-") for text in words}


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_each_link_to_a_heading_leads_to_one(path):
    links = re.findall(r"\]\(([^)#\s:]*)#([^)\s]+)\)", path.read_text())
    pages = [(path.parent / page if page else path, anchor) for page, anchor in links]
    missing = [anchor for page, anchor in pages if anchor not in anchors(page)]
    assert missing == []


def test_the_table_of_items_is_the_registrys():
    assert documented() in (ROOT / "docs" / "reproduction.md").read_text()
