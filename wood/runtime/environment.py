"""The environment variables that the workflow's jobs inherit."""

import os

# glibc returns large blocks to the kernel as soon as they are free, and each step of a training on
# the CPU takes them again, page by page. Here they are kept, in large pages (docs/benchmarks.md).
KEEP_MEMORY = ":".join(
    f"glibc.malloc.{name}={value}"
    for name, value in {
        "arena_max": 1,  # other arenas take large blocks from the kernel whatever the rest says
        "mmap_max": 0,
        "trim_threshold": 2**34,
        "top_pad": 2**28,
        "hugetlb": 1,
    }.items()
)


def share_with_jobs(root: str) -> None:
    """Let every job import `wood` from the checkout `root`, wherever it runs."""
    inherited = os.environ.get("PYTHONPATH", "")
    if root not in inherited.split(os.pathsep):
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [root, inherited]))
    os.environ.setdefault("GLIBC_TUNABLES", KEEP_MEMORY)
    os.environ.setdefault("FIFTYONE_DO_NOT_TRACK", "1")
