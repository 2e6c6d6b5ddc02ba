"""Python as on Windows, as far as another system can pretend it.

Python imports this file when it starts, in every process that has its folder in PYTHONPATH: also in
those that a process starts. What Windows lacks is removed, processes are spawned, not forked, and
text has the encoding that the environment gives (see `test_windows.py`).
"""

import multiprocessing
import os
import select
import socket
import sys
import threading
from contextlib import suppress

with suppress(ImportError):
    import platformdirs  # noqa: F401 (on this system it needs what is removed below)

for name in ("fcntl", "resource", "pwd", "grp", "termios", "tty", "pty", "syslog", "posix_ipc"):
    sys.modules[name] = None  # importing it is an ImportError

for name in (
    "fork",
    "register_at_fork",
    "getuid",
    "geteuid",
    "getloadavg",
    "sysconf",
    "sched_getaffinity",
    "sched_setaffinity",
    "mkfifo",
    "umask",
    "chown",
    "killpg",
    "setsid",
    "getpgid",
    "wait4",
):
    if hasattr(os, name):
        delattr(os, name)

plain_select = select.select


def select_sockets(readable, writable, exceptional, timeout=None):
    for file in (*readable, *writable, *exceptional):
        if not isinstance(file, socket.socket):
            raise OSError(10038, "An operation was attempted on something that is not a socket")
    return plain_select(readable, writable, exceptional, timeout)


select.select = select_sockets
if (
    multiprocessing.get_start_method(allow_none=True) is None
    and threading.current_thread() is threading.main_thread()
):
    multiprocessing.set_start_method("spawn")
