# The page: every number and picture of the experiments, beside the paper's.


# One self-contained HTML page.
rule report_page:
    input:
        specified_files(report_specification()),
        counts=counts_of_images(),
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
        code=code_digest("wood.provenance"),
    script:
        "../workflow_scripts/provenance.py"
