"""What the report's tables give as CSV, in a real browser."""

from tests.browser.review_page import chromium
from wood.report.columns import Column
from wood.report.render import _environment
from wood.report.tables import NOTHING, Cell, Table, csv_text

PAGE = """{% from "macros.html.j2" import data_table %}
<!DOCTYPE html><meta charset="utf-8">{{ data_table(table, "demo") }}<script>{{ script }}</script>"""

# What the page downloads, as a string: the link's file is read where the page makes its address.
DOWNLOAD = """
const done = arguments[0];
URL.createObjectURL = (blob) => { blob.text().then(done); return "#"; };
document.querySelector("button.csv").click();
"""

NAMES = ["=1+1", '=HYPERLINK("http://x")', "+1", "-1", "@SUM(A1)", "'=1", "-", "a, b", 'say "x"',
         "plain", "Zoë = 猫"]  # fmt: skip


def test_the_page_s_csv_is_that_of_the_pipeline(tmp_path):
    columns = [Column("experiment", numeric=False), Column("=mIoU")]
    numbers = [Cell("-0.5", -0.5), NOTHING, *[Cell("1.0", 1.0)] * (len(NAMES) - 2)]
    rows = [[Cell(name), number] for name, number in zip(NAMES, numbers, strict=True)]
    table = Table("t", "A table", "", columns, rows)
    page = tmp_path / "page.html"
    page.write_text(_environment().from_string(PAGE).render(table=table), encoding="utf-8")
    with chromium() as driver:
        driver.get(page.as_uri())
        downloaded = driver.execute_async_script(DOWNLOAD)
    assert downloaded == csv_text(table)
    assert "\n'=1+1,-0.5\n" in downloaded
