"""On what and with what it was measured."""
from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

from .process import UNWANTED


def machine() -> dict[str, Any]:
    """Processor, vector width, cores, memory, system, and how busy it is: a load near 0 is what a measurement needs."""
    return {
        "processor": _processor(), "cores": cores(), "memory": _memory(), "vectors": _vectors(),
        "system": f"{platform.system()} {platform.release()}", "load": round(os.getloadavg()[0], 2),
        "unset": {name: os.environ[name] for name in UNWANTED if name in os.environ},
    }  # fmt: skip


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _cpuinfo(name: str) -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")


def _processor() -> str:
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def _vectors() -> str:
    flags = _cpuinfo("flags").split()
    return next((said for flag, said in (("avx512f", "AVX-512"), ("avx2", "AVX2")) if flag in flags), platform.machine())


def _memory() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
