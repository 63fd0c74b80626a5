"""JSON objects as a container's sections hold them (docs/SPEC.md, S11.1): META and CALI.

Beside the writer, which refuses to write anything else, and the decoder, which reads them.
"""

from __future__ import annotations

import json
import re
from typing import Any

MAX_DEPTH = 64

# A string, so that its brackets do not count, or a bracket that does.
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[][{}]', re.DOTALL)

_MAX_DIGITS = 640  # that every setting of Python's limit on the digits of an int allows


def read_object(payload: bytes) -> dict[str, Any]:
    """The object that *payload* holds.

    Raises ValueError: it is not an object of RFC 8259 in UTF-8, or nested deeper than MAX_DEPTH.
    """
    text = payload.decode("utf-8")
    depth = 0
    for token in _TOKEN.findall(text):  # before the parser, which uses the stack
        depth += (token in "[{") - (token in "]}")
        if depth > MAX_DEPTH:
            raise ValueError(f"it is nested deeper than {MAX_DEPTH}")
    found = json.loads(text, parse_constant=_refuse, parse_int=_number)
    if not isinstance(found, dict):
        raise ValueError("it is not an object")
    return found


def _number(digits: str) -> float:
    """An int, but a float where Python could refuse to make one."""
    return int(digits) if len(digits) <= _MAX_DIGITS else float(digits)


def _refuse(constant: str) -> None:
    """NaN and Infinity, which Python's parser takes for JSON."""
    raise ValueError(f"{constant} is not JSON")
