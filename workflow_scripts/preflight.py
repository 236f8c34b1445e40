"""What the run needs, on the terminal; the job fails if something is missing or wrong."""

from wood.runtime.errors import InputError
from wood.runtime.jobs import job
from wood.workflow.paths import Paths
from wood.workflow.preflight import screen, this_machine

with job(snakemake.log[0]):
    config = snakemake.config
    text, status = screen(config, this_machine(Paths.of(config).results))
    print(text, flush=True)
    if status:
        raise InputError("something is missing or wrong; the lines above say what.")
