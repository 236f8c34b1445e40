"""A real Slurm of two nodes, on this machine and for one test: munge, slurmctld, two slurmd.

Nothing of the system's own configuration is read or written: keys, configuration, state and logs
lie in one temporary folder, and all daemons listen on the loopback address. It needs the programs
of Debian's packages `munge` and `slurm-wlm`, and no cgroups, accounting database or system user.
"""

import getpass
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

PROGRAMS = (
    "munged",
    "slurmctld",
    "slurmd",
    "sbatch",
    "srun",
    "squeue",
    "scancel",
    "scontrol",
    "sinfo",
)

# Jobs are killed for their memory by accounting of /proc, which works without cgroups. `sched_*`
# and `batch_*` are there to be quick: a job begins within a second of its submission.
CONFIGURATION = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
SlurmUser={user}
SlurmdUser={user}
SlurmdParameters=config_overrides
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
SchedulerParameters=sched_interval=1,sched_min_interval=0,batch_sched_delay=0,bf_interval=1
KillWait=10
MinJobAge=600
ReturnToService=2
GresTypes=gpu
{nodes}
PartitionName=both Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""

NODES = ("one", "two")
NODE = (
    "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=4 "
    "RealMemory={memory} Gres=gpu:1"
)


def missing_programs() -> list[str]:
    """Return the programs that a Slurm needs and this machine lacks."""
    places = os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"])
    return [name for name in PROGRAMS if shutil.which(name, path=places) is None]


class Cluster:
    """A Slurm of two nodes, each of 4 CPUs and a GPU in name only; to be used as a context."""

    def __init__(self) -> None:
        # Sockets' paths are short, so not below pytest's folder.
        self.folder = Path(tempfile.mkdtemp(prefix="wood-slurm-"))
        self.folder.chmod(0o755)
        self.host = socket.gethostname().partition(".")[0]
        self.environment = os.environ | {
            "SLURM_CONF": str(self.folder / "slurm.conf"),
            "PATH": os.pathsep.join(
                [str(self.folder / "bin"), os.environ["PATH"], "/usr/sbin", "/sbin"]
            ),
        }

    def __enter__(self) -> "Cluster":
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    def _start(self) -> None:
        folder = self.folder
        for name in ("state", "bin", *(f"spool-{node}" for node in NODES)):
            (folder / name).mkdir()
        # Snakemake calls srun without the variables SLURM_*, which a Slurm in /etc does not need.
        srun = folder / "bin" / "srun"
        srun.write_text(
            f'#!/bin/sh\nSLURM_CONF={folder}/slurm.conf exec {shutil.which("srun")} "$@"\n'
        )
        srun.chmod(0o755)
        key = folder / "munge.key"
        key.touch(mode=0o600)
        key.write_bytes(os.urandom(128))
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20
        nodes = [
            NODE.format(name=name, host=self.host, port=_free_port(), memory=memory)
            for name in NODES
        ]
        (folder / "slurm.conf").write_text(
            CONFIGURATION.format(
                host=self.host,
                folder=folder,
                user=getpass.getuser(),
                controller_port=_free_port(),
                nodes="\n".join(nodes),
            )
        )
        (folder / "gres.conf").write_text("Name=gpu File=/dev/null\n")
        self.call(
            "munged", "--force", f"--key-file={key}", f"--socket={folder}/munge.socket",
            f"--pid-file={folder}/munged.pid", f"--log-file={folder}/munged.log",
            f"--seed-file={folder}/munged.seed",
        )  # fmt: skip
        self.call("slurmctld")
        for name in NODES:
            self.call("slurmd", "-N", name)
        self.wait_until(lambda: self.call("sinfo", "--noheader", "-o", "%T %D") == "idle 2", 30)

    def call(self, *command: str) -> str:
        """Run a program with this Slurm's configuration, and return what it says."""
        done = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, timeout=60
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stdout}{done.stderr}{self.logs()}")
        return done.stdout.strip()

    def wait_until(self, condition, seconds: float) -> None:
        """Wait for a condition to hold."""
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                raise TimeoutError(f"nothing happened within {seconds} s{self.logs()}")
            time.sleep(0.2)

    def jobs(self) -> list[dict[str, str]]:
        """Return all jobs there were, as `scontrol show job` has them."""
        text = self.call("scontrol", "--oneliner", "show", "jobs")
        return [
            dict(re.findall(r"([\w:/]+)=(.*?)(?= [\w:/]+=|$)", line))  # paths may have spaces
            for line in text.splitlines()
            if line.startswith("JobId=")
        ]

    def logs(self) -> str:
        """Return the ends of the daemons' logs, for an error message."""
        ends = [
            f"\n== {path.name}\n" + "\n".join(path.read_text().splitlines()[-15:])
            for path in sorted(self.folder.glob("*.log"))
        ]
        return "".join(ends)

    def stop(self) -> None:
        """End all jobs and daemons, and remove the folder."""
        if (self.folder / "slurmctld.pid").exists():
            subprocess.run(["scancel", "--user", getpass.getuser()], env=self.environment)
            time.sleep(1)
        for name in (*(f"slurmd-{node}" for node in NODES), "slurmctld", "munged"):
            _end(self.folder / f"{name}.pid")
        shutil.rmtree(self.folder, ignore_errors=True)


def _end(pid_file: Path) -> None:
    """End the daemon whose process id the file holds."""
    if not pid_file.exists():
        return
    pid = int(pid_file.read_text())
    for signal_number, seconds in ((signal.SIGTERM, 3), (signal.SIGKILL, 1)):
        try:
            os.kill(pid, signal_number)
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                os.kill(pid, 0)
                time.sleep(0.1)
        except ProcessLookupError:
            return


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
