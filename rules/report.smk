# The page: every number and picture of the experiments, beside the paper's.

from wood.report.items import ITEMS, pattern
from wood.workflow.report_inputs import sources

ITEMS_CATEGORY = "Tables and figures of the paper"
WHOLE_PAGE = report(
    paths.report("index.html"),
    caption="captions/page.rst",
    category="The whole page",
)
ALL_SCORES = report(
    paths.report("scores.csv"),
    caption="captions/scores.rst",
    category="The whole page",
)
ITEM_PAGE = report(
    paths.report("items/{item}.html"),
    caption="captions/item.rst",
    category=ITEMS_CATEGORY,
    labels={"item": "{item}", "kind": "page"},
)
ITEM_DATA = report(
    paths.report("items/{item}.csv"),
    caption="captions/data.rst",
    category=ITEMS_CATEGORY,
    labels={"item": "{item}", "kind": "data"},
)
ITEM_DRAWING = report(
    paths.report("items/{item}.svg"),
    caption="captions/item.rst",
    category=ITEMS_CATEGORY,
    labels={"item": "{item}", "kind": "drawing"},
)


# One self-contained HTML page, and one for each experiment.
rule report_page:
    input:
        page.page_files,
        counts=page.counts(),
        templates=sources(),
    output:
        page=WHOLE_PAGE,
        experiments=directory(paths.report("experiments")),
        scores=ALL_SCORES,
    log:
        paths.log("report/report_page"),
    benchmark:
        paths.benchmark("report/report_page")
    conda:
        "../envs/wood.yaml"
    threads: 1
    resources:
        **asks(3000, 60),
    params:
        specification=page.page,
        config=page.configuration,
        code=code_digest("wood.report.page", "wood.report.experiment"),
    script:
        "../workflow_scripts/report_page.py"


# Items with numbers: a page, and the numbers as CSV.
rule report_table:
    input:
        page.item_files,
        templates=sources(),
    output:
        page=ITEM_PAGE,
        csv=ITEM_DATA,
    log:
        paths.log("report/items/{item}"),
    benchmark:
        paths.benchmark("report/items/{item}")
    wildcard_constraints:
        item=pattern("csv"),
    conda:
        "../envs/wood.yaml"
    threads: 1
    resources:
        **asks(3000, 60),
    params:
        specification=page.item_specification,
        code=code_digest("wood.report.item"),
    script:
        "../workflow_scripts/report_item.py"


# Items that are drawn: a page, the drawing, and its data.
use rule report_table as report_drawing with:
    output:
        page=ITEM_PAGE,
        csv=ITEM_DATA,
        svg=ITEM_DRAWING,
    wildcard_constraints:
        item=pattern("csv", "svg"),


# Items of pictures: a page.
use rule report_table as report_pictures with:
    output:
        page=ITEM_PAGE,
    wildcard_constraints:
        item=pattern(),


# `snakemake table1`, ..., `snakemake figureA4`: one table or figure and what it needs.
for item in ITEMS:

    rule:
        name:
            item
        input:
            page.target(item),
        localrule: True


# What made the results: code, versions, devices, configuration, checksums, times and memory.
rule provenance:
    input:
        rules.report_page.output,
    output:
        f"{paths.results}/provenance.json",
    log:
        paths.log("report/provenance"),
    benchmark:
        paths.benchmark("report/provenance")
    conda:
        "../envs/wood.yaml"
    threads: 1
    resources:
        **asks(1000, 60),
    params:
        results=subpath(output[0], parent=True),
        config=inputs.whole_configuration,
        inputs=named_inputs(config),
        code=code_digest("wood.runtime.provenance"),
    script:
        "../workflow_scripts/provenance.py"
