"""The machine in words, for results that are checked in or sent in."""

from __future__ import annotations

import os
import platform
from pathlib import Path

BOARD = Path("/proc/device-tree/model")
PROCESSOR = Path("/sys/devices/system/cpu/cpu0")
HEAT = Path("/sys/class/thermal/thermal_zone0/temp")
MEMORY = Path("/proc/meminfo")


def describe() -> str:
    """Processor, number of cores, system and Python, in one sentence."""
    system = f"{platform.system()} {platform.machine()}"
    return f"{_processor()}, {os.cpu_count()} cores, {system}, Python {platform.python_version()}"


def board_lines() -> list[str]:
    """The same in lines, and what decides how fast a small board runs: clock, governor, heat.

    What the system does not tell is left out.
    """
    try:
        release = platform.freedesktop_os_release().get("PRETTY_NAME", "")
    except OSError:
        release = ""
    kernel = f"{platform.system()} {platform.release()} {platform.machine()}"
    return [
        f"machine: {describe()}",
        f"system: {', '.join(filter(None, [release, kernel]))}",
        *_clock(),
        *(f"memory: {line.split()[1]} KiB" for line in _text(MEMORY).splitlines()[:1]),
        *(f"temperature: {int(heat) / 1000:.0f} degrees Celsius" for heat in _text(HEAT).split()),
    ]


def _clock() -> list[str]:
    fastest = _text(PROCESSOR / "cpufreq" / "cpuinfo_max_freq")
    if not fastest:
        return []
    governor = _text(PROCESSOR / "cpufreq" / "scaling_governor")
    return [f"clock: at most {int(fastest) / 1000:.0f} MHz, governor {governor}"]


def _processor() -> str:
    """The board where the system has its name, as ARM's systems do."""
    lines = _text(Path("/proc/cpuinfo")).splitlines()
    named = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    names = [_text(BOARD), named[0] if named else platform.processor()]
    return ", ".join(filter(None, names)) or "unknown processor"


def _text(path: Path) -> str:
    """A file of the system's, "" where there is none."""
    try:
        return path.read_text().strip("\0\n ")
    except OSError:
        return ""
