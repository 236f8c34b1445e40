"""The environment variables that the workflow's jobs inherit."""

import os


def share_with_jobs(root: str) -> None:
    """Let every job import `wood` from the checkout `root`, wherever it runs."""
    inherited = os.environ.get("PYTHONPATH", "")
    if root not in inherited.split(os.pathsep):
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [root, inherited]))
    os.environ.setdefault("FIFTYONE_DO_NOT_TRACK", "1")
