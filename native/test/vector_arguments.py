"""The arguments of test_edgeens for the golden vectors: each file and the status that C gives.

Used by `make test-c`: python3 native/test/vector_arguments.py tests/vectors. Needs no package.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

HEADER = Path(__file__).parents[1] / "include" / "edgeens.h"


def status_numbers() -> dict[str, int]:
    """The statuses of edgeens.h by their names in the spec (S12)."""
    found = re.findall(r"EENS_(?:ERR_)?(\w+) = (\d+)", HEADER.read_text(encoding="utf-8"))
    return {name: int(number) for name, number in found}


def is_seen_in_c(entry: dict[str, Any]) -> bool:
    """Whether the C library itself refuses the file.

    It does not read JSON, does not compute SHA-256, and the check program sets no limit.
    """
    by_content = entry["at"] == "verify" and entry["status"] in {"SECTION", "DIGEST"}
    return not by_content and entry["status"] != "LIMIT"


def main(folder: Path) -> None:
    """Print FILE STATUS for every vector."""
    numbers = status_numbers()
    refused = json.loads((folder / "refused" / "refused.json").read_text(encoding="utf-8"))
    for path in sorted((folder / "good").glob("*.eens")):
        print(path, 0)
    for name, entry in sorted(refused.items()):
        print(folder / "refused" / name, numbers[entry["status"]] if is_seen_in_c(entry) else 0)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
