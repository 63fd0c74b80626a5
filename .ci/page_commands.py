"""What docs/RASPBERRY_PI.md says to type to build on a board of 64 or 32 bits.

`page_commands.py packages|commands BITS`; packages: the names behind `sudo apt-get install`, with
commas; commands: all the rest.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "RASPBERRY_PI.md"
INSTALL = "sudo apt-get install "


def commands(bits: int) -> list[str]:
    """The lines of the block for boards of 64 or 32 bits in the section "On the board"."""
    page = PAGE.read_text(encoding="utf-8")
    _, _, section = page.partition("\n## Built on the board\n")
    blocks = re.findall(
        rf"{bits} bits:\n\n```sh\n(.*?)```", section.partition("\n## ")[0], re.DOTALL
    )
    (block,) = blocks
    return block.splitlines()


def main(what: str, bits: str) -> None:
    """Print them."""
    lines = commands(int(bits))
    (packages,) = [line.removeprefix(INSTALL) for line in lines if line.startswith(INSTALL)]
    if what == "packages":
        print(packages.replace(" ", ","))
    else:
        print("\n".join(line for line in lines if not line.startswith(INSTALL)))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
