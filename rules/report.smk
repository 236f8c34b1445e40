# The page: every number and picture of the experiments, beside the paper's.


# One self-contained HTML page.
rule report_page:
    input:
        specified_files(report_specification()),
        templates=report_sources(),
    output:
        f"{RESULTS}/report/index.html",
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
        code=code_digest("wood.report.page"),
    script:
        "../workflow_scripts/report_page.py"
