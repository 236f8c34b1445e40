"""The terminal's Ctrl-C, ports and addresses of the review."""

import os
import pty
import socket
import sys
import time

import pytest

from wood.review.serving import free_port, page_address
from wood.runtime.errors import InputError

# A command that another one started, as Snakemake does, with an output that goes through `tee`. One
# long sleep would miss a Ctrl-C that comes just before it.
PARENT = """
import subprocess, sys
child = "import signal, time\\n" \
    "from wood.review.serving import foreground\\n" \
    "with foreground():\\n" \
    "    try:\\n" \
    "        print('open', flush=True)\\n" \
    "        for _ in range(600):\\n" \
    "            time.sleep(0.1)\\n" \
    "    except KeyboardInterrupt:\\n" \
    "        print('counts', flush=True)\\n"
done = subprocess.run(
    f'set -o pipefail; "{sys.executable}" -c "$CHILD" 2>&1 | tee -i /dev/null',
    shell=True, executable="/bin/bash", env={**__import__("os").environ, "CHILD": child},
)
print("parent goes on", done.returncode, flush=True)
"""


def test_ctrl_c_ends_the_review_and_nothing_else():
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, "-c", PARENT])
    shown = b""
    end = time.monotonic() + 60
    interrupted = False
    while time.monotonic() < end:
        try:
            shown += os.read(terminal, 1000)
        except OSError:  # the terminal is closed: all have ended
            break
        if b"open" in shown and not interrupted:
            os.write(terminal, b"\x03")
            interrupted = True
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0, shown
    assert b"counts\r\nparent goes on 0" in shown
    assert b"Traceback" not in shown


def test_a_taken_port_is_refused_and_the_next_one_found():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"cannot listen at 127.0.0.1, port {port}"):
            free_port("127.0.0.1", port)
    assert free_port("127.0.0.1", None) >= 5151


def test_the_page_of_every_address():
    assert page_address("p", "0.0.0.0", 5151) == "http://127.0.0.1:5151/datasets/p"
    assert page_address("p", "::", 1, "to review") == "http://[::1]:1/datasets/p?view=to-review"
