"""Runs the scenes, prints what they measured, and judges it.

The exit status is 1 when a number that must be reached is not.
"""

import argparse
import sys

from benchmarks import checks, layouts, machine, memory, request_path, script_time
from benchmarks.field import ENTRIES, GCRA, PEER_ENTRIES, PLAIN, SLIDING, field
from benchmarks.report import Section, goals_table
from benchmarks.run import Run

SCENES = {
    "request": request_path.scene,
    "memory": memory.scene,
    "checks": checks.scene,
    "layouts": layouts.scene,
    "script": script_time.scene,
}


def main() -> None:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("--rounds", type=int, metavar="N", help="default 5; 3 with --quick")
    parser.add_argument("--quick", action="store_true", help="few contenders, few levels")
    parser.add_argument("--only", action="append", choices=SCENES, metavar="SCENE")
    options = parser.parse_args()
    sections: list[Section] = []
    machine.main()
    with field() as workers:
        run = Run(
            workers,
            [PLAIN, SLIDING, GCRA, PEER_ENTRIES[0]] if options.quick else ENTRIES,
            options.rounds or (3 if options.quick else 5),
            options.quick,
        )
        for name in options.only or SCENES:
            sections.append(SCENES[name](run))
            print(f"\n## {sections[-1].title}\n\n{sections[-1].text}", flush=True)
    goals = [goal for section in sections for goal in section.goals]
    print(f"\n## Goals\n\n{goals_table(goals)}", flush=True)
    missed = [goal.what for goal in goals if not goal.is_met]
    if missed:
        sys.exit(f"Missed: {'; '.join(missed)}")


if __name__ == "__main__":
    main()
