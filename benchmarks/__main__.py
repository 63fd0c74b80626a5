"""`make bench`: measure, print the tables, save them with the machine in words."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from benchmarks.machine import describe
from benchmarks.speed import measure_decode, measure_encode
from edgeens.tables import number, render

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """Run every benchmark; takes about a minute."""
    argparse.ArgumentParser(prog="make bench", description=__doc__).parse_args()
    machine = describe()
    print(machine)
    decode = measure_decode()
    print(
        render(
            ["decode 4 members to float32", "bits/mw", "time / memcpy", "Mmw/s"],
            [
                [
                    row["way"],
                    number(row["bits_mw"], 2),
                    number(row["relative"], 2),
                    f"{row['mmw_s']:.0f}",
                ]
                for row in decode
            ],
        )
    )
    encode = measure_encode()
    print(
        render(
            ["encode 10 M weights x 4", "seconds", "Mmw/s"],
            [[row["stage"], number(row["seconds"], 2), f"{row['mmw_s']:.0f}"] for row in encode],
        )
    )
    RESULTS.mkdir(exist_ok=True)
    results = {"machine": machine, "decode": decode, "encode": encode}
    (RESULTS / "speed.json").write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
