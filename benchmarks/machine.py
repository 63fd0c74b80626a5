"""The machine in words, for results that are checked in."""

from __future__ import annotations

import os
import platform
from pathlib import Path


def describe() -> str:
    """Processor, number of cores, system and Python, in one sentence."""
    system = f"{platform.system()} {platform.machine()}"
    return f"{_processor()}, {os.cpu_count()} cores, {system}, Python {platform.python_version()}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown processor"
    named = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else "unknown processor"
