"""On what and with what it was measured."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

from .process import UNWANTED


def machine() -> dict[str, Any]:
    """Processor, vector width, cores, memory, system, and how busy it is: a load near 0 is what a
    measurement needs.

    `memory` and `load` are None where the system does not say, as on Windows.
    """
    return {
        "processor": _processor(),
        "cores": cores(),
        "memory": _memory(),
        "vectors": _vectors(),
        "system": f"{platform.system()} {platform.release()}",
        "load": _load(),
        "unset": {name: os.environ[name] for name in UNWANTED if name in os.environ},
    }


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _cpuinfo(name: str) -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")


def _processor() -> str:
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def _vectors() -> str:
    flags = _cpuinfo("flags").split()
    return next(
        (said for flag, said in (("avx512f", "AVX-512"), ("avx2", "AVX2")) if flag in flags),
        platform.machine(),
    )


def _memory() -> int | None:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (
        AttributeError,
        ValueError,
        OSError,
    ):  # Windows has no sysconf, other systems not all of its names
        return None


def _load() -> float | None:
    try:
        return round(os.getloadavg()[0], 2)
    except (AttributeError, OSError):
        return None
