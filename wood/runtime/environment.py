"""The environment variables that the workflow's jobs inherit."""

import os
import platform

from wood.runtime.errors import InputError

# The kernels of oneDNN, ATen and MKL for one instruction set. Left to themselves, they take those
# that the processor has, and the same seed gives other weights on another one.
INSTRUCTION_SETS = {
    "avx2": {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2", "MKL_CBWR": "AVX2"},
    "avx512": {
        "ONEDNN_MAX_CPU_ISA": "AVX512_CORE",
        "ATEN_CPU_CAPABILITY": "avx512",
        "MKL_CBWR": "AVX512",
    },
}
# What Linux calls them (`flags` in /proc/cpuinfo), where the processor has them.
FLAGS = {"avx2": {"avx2", "fma"}, "avx512": {"avx512f", "avx512bw", "avx512vl", "avx512dq"}}

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


def pin_instruction_set(name: str | None, precision: str) -> None:
    """Let this process and those it starts compute with the kernels of one instruction set.

    The libraries read the variables when they load, so this comes before torch is imported. Every
    job reads the rule files first, on a cluster's node too, so it reaches all of them.

    Args:
        name: of `INSTRUCTION_SETS`; "auto" is avx2 where the processor is known to have it, but
            not with bfloat16, for which AVX2 has no kernels; None leaves the environment as it is.
        precision: of the networks, "float32", "bfloat16" or "auto".
    """
    if name == "auto":
        name = "avx2" if precision != "bfloat16" and "avx2" in processor()[1] else None
    os.environ.update(INSTRUCTION_SETS[name] if name else {})


def pinned_variables() -> dict[str, str]:
    """Return those of the variables that are set, whoever set them."""
    names = INSTRUCTION_SETS["avx2"]
    return {name: os.environ[name] for name in names if name in os.environ}


def processor() -> tuple[str, set[str]]:
    """Return the processor's name and the instruction sets of `FLAGS` that it has.

    Known on Linux; elsewhere the name is that of its kind, and no set is known.
    """
    found: dict[str, str] = {}
    try:
        with open("/proc/cpuinfo") as file:
            for line in file:
                if not line.strip():
                    break  # the next processors say the same
                key, _, value = line.partition(":")
                found.setdefault(key.strip(), value.strip())
    except OSError:
        pass
    flags = set(found.get("flags", "").split())
    name = found.get("model name") or platform.processor() or platform.machine()
    return name, {isa for isa, needed in FLAGS.items() if needed <= flags}


def check_instruction_set(name: str | None) -> None:
    """Refuse a processor that lacks an instruction set of `INSTRUCTION_SETS` asked for by name.

    Raises:
        InputError: the libraries would silently take kernels of a smaller set.
    """
    if name not in INSTRUCTION_SETS:
        return
    model, known = processor()
    if known and name not in known:
        raise InputError(
            f"Configuration: cpu_isa is {name}, which this processor ({model}) does not have; "
            f"it has {', '.join(sorted(known))}."
        )
