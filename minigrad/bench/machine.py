"""The machine on which is measured."""

from __future__ import annotations

import os
import platform
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..kernels.simd import lanes
from ..viz.scene.text import quantity


def machine() -> dict[str, Any]:
    """Processor, vector width, cores, memory, system.

    `memory` is None where the system does not report it, as on Windows.
    """
    processor, memory = platform.processor() or platform.machine(), None
    # not all systems have all of these
    with suppress(OSError, IndexError):
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
        processor = re.findall("model name.*: (.+)", text)[0]
    with suppress(AttributeError, ValueError, OSError):
        memory = quantity(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), "B")
    return {
        "processor": processor,
        "cores": cores(),
        "memory": memory,
        "vectors": {16: "AVX-512", 8: "AVX2"}.get(lanes(4), platform.machine()),
        "system": f"{platform.system()} {platform.release()}",
    }


def cores() -> int:
    """The processors that this process may use."""
    from joblib import cpu_count

    return int(cpu_count())
