# The page: every number and picture of the experiments, beside the paper's.


# One self-contained HTML page, and one for each experiment.
rule report_page:
    input:
        specified_files(report_specification()),
        counts=counts_of_images(),
        templates=report_sources(),
    output:
        page=report(
            f"{RESULTS}/report/index.html",
            caption="captions/page.rst",
            category="The whole page",
        ),
        experiments=directory(f"{RESULTS}/report/experiments"),
    log:
        f"{LOGS}/report/report_page.log",
    benchmark:
        f"{BENCHMARKS}/report/report_page.tsv"
    conda:
        "../envs/wood.yaml"
    threads: 1
    resources:
        mem_mb=memory(3000),
        runtime=60,
    params:
        specification=report_specification(),
        config=config,
        code=code_digest("wood.report.page", "wood.report.experiment"),
    script:
        "../workflow_scripts/report_page.py"


# Tables, and the figure with classes as bars: a page, and the numbers as CSV.
rule report_table:
    input:
        item_inputs,
        templates=report_sources(),
    output:
        page=item_output("html", "page", "captions/item.rst"),
        csv=item_output("csv", "data", "captions/data.rst"),
    log:
        f"{LOGS}/report/items/{{item}}.log",
    benchmark:
        f"{BENCHMARKS}/report/items/{{item}}.tsv"
    wildcard_constraints:
        item="table[A0-9]+|figure6",
    conda:
        "../envs/wood.yaml"
    threads: 1
    resources:
        mem_mb=memory(3000),
        runtime=60,
    params:
        specification=lambda wildcards: item_specification(wildcards.item),
        code=code_digest("wood.report.item"),
    script:
        "../workflow_scripts/report_item.py"


# Figures that are drawn: a page, the drawing, and its data.
use rule report_table as report_drawing with:
    output:
        page=item_output("html", "page", "captions/item.rst"),
        csv=item_output("csv", "data", "captions/data.rst"),
        svg=item_output("svg", "drawing", "captions/item.rst"),
    wildcard_constraints:
        item="figure[57]",


# Pictures: a page.
use rule report_table as report_pictures with:
    output:
        page=item_output("html", "page", "captions/item.rst"),
    wildcard_constraints:
        item="figure(2|3|4|A[1-4])",


# `snakemake table1`, ..., `snakemake figureA4`: one table or figure and what it needs.
for item in ITEMS:

    rule:
        name:
            item
        input:
            lambda wildcards, item=item: item_files(item),
        localrule: True


# What made the results: code, versions, devices, configuration, checksums, times and memory.
rule provenance:
    input:
        rules.report_page.output,
    output:
        f"{RESULTS}/provenance.json",
    log:
        f"{LOGS}/report/provenance.log",
    benchmark:
        f"{BENCHMARKS}/report/provenance.tsv"
    conda:
        "../envs/wood.yaml"
    threads: 1
    resources:
        mem_mb=memory(1000),
        runtime=60,
    params:
        results=subpath(output[0], parent=True),
        config=config,
        inputs=settings.named_inputs(config),
        code=code_digest("wood.runtime.provenance"),
    script:
        "../workflow_scripts/provenance.py"
