# What the rule files share: the checked configuration, and what wood.workflow makes of it.

import sys

sys.path.insert(0, workflow.basedir)

from wood.runtime.digest import code_digest, keep_digests
from wood.runtime.environment import pin_instruction_set, share_with_jobs
from wood.workflow import live, planning, start
from wood.workflow.files import named_inputs
from wood.workflow.inputs import Inputs
from wood.workflow.report_inputs import ReportInputs
from wood.workflow.resources import asks
from wood.workflow.targets import Targets

share_with_jobs(workflow.basedir)
planning.collect_garbage_seldom()
planning.read_scripts_once(workflow.sourcecache)

files = [f"{workflow.basedir}/config.yaml", *(workflow.overwrite_configfiles or [])]
config.update(start.configuration(config, workflow.config_settings.config, files))

targets = Targets(config)
inputs = Inputs(targets)
paths = targets.paths
page = ReportInputs(targets, start.overlays(workflow.overwrite_configfiles))

if not workflow.output_settings.dryrun:
    pin_instruction_set(config["cpu_isa"], config["precision"])

# A run itself: neither one of its jobs, which read these files too, nor a dry run.
if workflow.is_main_process and not workflow.output_settings.dryrun:
    start.claim_before_jobs(workflow, paths.results, config["gpus"])
    start.warn_of_unused(config, files)
    live.show(workflow.logger_manager, lambda: start.stages(workflow.rules))
    start.when_nothing_is_to_do(
        workflow.logger_manager.logger,
        lambda: start.say_what_to_do(targets),
    )

# Trainings use all GPUs of their job; shards use one, and run side by side.
TRAINING_GPUS = targets.gpus
SHARD_GPUS = min(targets.gpus, 1)


onsuccess:
    start.say_what_to_do(targets)


wildcard_constraints:
    classifier="[^/]+",
    experiment="[^/]+",
    localization="[^/]+",
    seed=r"\d+",
    shard=r"\d+",
