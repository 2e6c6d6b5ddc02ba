"""What some tests need from the system: each mark skips where it is missing, as on Windows, and
says what that is.
"""

import os
import signal
from contextlib import contextmanager

import pytest

try:
    import resource
except ImportError:
    resource = None
try:
    import fcntl
except ImportError:
    fcntl = None


def needs(there, what):
    return pytest.mark.skipif(not there, reason=f"this system has no {what}")


needs_limits = needs(resource, "limit for the size of files (module resource)")
needs_locks = needs(fcntl, "locks of folders (module fcntl)")
needs_fork = needs(hasattr(os, "fork"), "os.fork")
needs_modes = needs(hasattr(os, "getuid"), "POSIX owners and modes of files")
needs_pipes = needs(hasattr(os, "mkfifo"), "named pipes")
needs_signals = needs(hasattr(signal, "SIGKILL"), "POSIX signals between processes")


@contextmanager
def little_memory(most):
    """Fail where the block makes the process hold `most` bytes more than ever before, as far as the
    system says that.
    """
    if resource is None:
        yield
        return
    unit = 1 if os.uname().sysname == "Darwin" else 1024
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * unit < most
