from snakemake.utils import min_version

min_version("9.0")


configfile: f"{workflow.basedir}/config.yaml"


include: "rules/common.smk"
include: "rules/fetch.smk"
include: "rules/data.smk"
include: "rules/ood.smk"
include: "rules/seeds.smk"
include: "rules/pseudo.smk"
include: "rules/segmentation.smk"
include: "rules/report.smk"


localrules:
    all,
    hard_ood,
    seeds,
    pseudo_masks,
    segmentation,
    report,
    review,
    browse,
    fully_supervised,
    submission,


# The whole pipeline, from data to the report page; while a review is pending, what comes before it.
rule all:
    default_target: True
    input:
        targets.before_review() if targets.is_pending else rules.report_page.output,
        [] if targets.is_pending else rules.provenance.output,
        targets.instances(),


# Hard OoD images with their review statistics (paper Sec. 3.1).
rule hard_ood:
    input:
        targets.hard_ood().values(),


# Initial seeds of every experiment, scored (Table 1).
rule seeds:
    input:
        targets.results("seeds"),


# Pseudo ground-truth masks of every experiment, scored (Table 2).
rule pseudo_masks:
    input:
        targets.results("pseudo_masks"),


# Segmentation networks of every experiment, scored on val (Table 3).
rule segmentation:
    input:
        targets.results("segmentation"),


# The fully supervised upper bound, scored on val. It reads true masks, so `all` does not include it.
rule fully_supervised:
    input:
        targets.fully_supervised_results(),


# The archives for VOC's evaluation server, where `data.test` names its image set.
rule submission:
    input:
        targets.submission_archives(),


# The page with every table and figure.
rule report:
    input:
        targets.before_review() if targets.is_pending else rules.report_page.output,


keep_digests()
planning.know_signatures(workflow.rules)
