"""Options and fixtures that the whole suite shares."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

# Timings say nothing on a busy machine. A gate answers the same twice; a developer wants new cases.
settings.register_profile("developer", deadline=None)
settings.register_profile("gate", deadline=None, derandomize=True)
settings.load_profile("gate" if os.environ.get("CI") else "developer")


def pytest_addoption(parser):
    parser.addoption(
        "--no-skips", action="store_true", help="a skipped test is a failure (for CI machines)"
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.skipped and item.config.getoption("--no-skips"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped: {report.longrepr}"
    return report
