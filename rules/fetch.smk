# Data sets and weights that the configuration names and that are not there (`downloads`).

import re
from dataclasses import asdict

from wood.data.fetch import SBD as SBD_PART, VOC as VOC_PART
from wood.workflow.downloads import downloads

coming = downloads(config)


# What the run needs and this machine has, on one screen; nothing of it is made.
rule preflight:
    log:
        paths.log("preflight"),
    retries: 0
    localrule: True
    conda:
        "../envs/wood.yaml"
    threads: 1
    resources:
        **asks(1000, 30),
    script:
        "../workflow_scripts/preflight.py"


if coming.voc:

    # Pascal VOC 2012, without its test images, which need an account.
    rule fetch_voc:
        output:
            *inputs.fetched_sets,
            **{name: directory(path) for name, path in inputs.fetched_devkit.items()},
        log:
            paths.log("fetch/voc"),
        priority: 2
        conda:
            "../envs/wood.yaml"
        threads: 1
        resources:
            **asks(2000, 720, downloads=1),
        params:
            wanted=asdict(coming.voc),
            part=VOC_PART,
        script:
            "../workflow_scripts/fetch_archive.py"


if coming.sbd:

    # The lists of SBD, from its whole archive; the images are VOC's.
    rule fetch_sbd:
        output:
            directory(coming.sbd.path),
        log:
            paths.log("fetch/sbd"),
        priority: 2
        conda:
            "../envs/wood.yaml"
        threads: 1
        resources:
            **asks(2000, 720, downloads=1),
        params:
            wanted=asdict(coming.sbd),
            part=SBD_PART,
        script:
            "../workflow_scripts/fetch_archive.py"


if coming.weights:

    rule fetch_weights:
        output:
            "{pretrained}",
        log:
            paths.log("fetch/weights/{pretrained}"),
        wildcard_constraints:
            pretrained="|".join(re.escape(path) for path in coming.weights),
        priority: 2
        conda:
            "../envs/wood.yaml"
        threads: 1
        resources:
            **asks(4000, 240, downloads=1),
        params:
            wanted=lambda wildcards: asdict(coming.weights[wildcards.pretrained]),
        script:
            "../workflow_scripts/fetch_weights.py"
