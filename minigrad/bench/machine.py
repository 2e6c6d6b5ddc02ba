"""The machine on which is measured."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

from .process import UNWANTED


def machine() -> dict[str, Any]:
    """Processor, vector width, cores, memory, system, and its load, which should be near 0.

    `memory` and `load` are None where the system does not report them, as on Windows.
    """
    model, flags = _cpuinfo("model name"), _cpuinfo("flags").split()
    vectors = {"AVX-512": "avx512f", "AVX2": "avx2"}
    try:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # not all systems have all of its names
        memory = None
    try:
        load = round(os.getloadavg()[0], 2)
    except (AttributeError, OSError):
        load = None
    return {
        "processor": model or platform.processor() or platform.machine(),
        "cores": cores(),
        "memory": memory,
        "vectors": next((n for n, flag in vectors.items() if flag in flags), platform.machine()),
        "system": f"{platform.system()} {platform.release()}",
        "load": load,
        "unset": {name: os.environ[name] for name in UNWANTED if name in os.environ},
    }


def cores() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _cpuinfo(name: str) -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")
