"""Runs the scenes, prints what they measured, and judges it.

A whole run also writes docs/benchmarks.md and its pictures. The exit status is 1 when a number
that must be reached is not.
"""

import argparse
import sys
from collections.abc import Callable, Sequence

from benchmarks import (
    arrivals,
    checks,
    end_to_end,
    growth,
    layouts,
    machine,
    memory,
    refusals,
    request_path,
    script_time,
)
from benchmarks.field import ENTRIES, GCRA, LIMITER, LIMITS, PLAIN, ROOT, SLIDING, field
from benchmarks.report import Section, goals_table
from benchmarks.run import Run

SCENES: dict[str, Callable[[Run], Section]] = {
    "checks": checks.scene,
    "refusals": refusals.scene,
    "arrivals": arrivals.scene,
    "uvicorn": end_to_end.scene,
    "request": request_path.scene,
    "memory": memory.scene,
    "growth": growth.scene,
    "script": script_time.scene,
    "layouts": layouts.scene,
}
QUICK = [name for name in SCENES if name != "layouts"]
# The fastest peers on Redis and in memory.
FEW = (PLAIN, SLIDING, GCRA, LIMITER, LIMITS[0])
DOCS = ROOT / "docs"
HEAD = f"""# Benchmarks

Made by `scripts/bench`, which runs everything again. Trust the ratios: times are those of one
machine, which others may use at the same time. Everybody does the same in turns, {{rounds}} rounds;
a number is the median, a ratio the median of the ratios within a round.

Each library runs in a process of its own, on uvloop and hiredis, with a pool of connections that is
large enough. Python collects no garbage while checks are timed. Before that, a library has to show
that it limits. What is called fastapi_throttle is `Throttle.hit` or `Depends(RateLimit(...))`, with
default settings and a secret; what is called plain EVALSHA is a GCRA script that answers the same
questions, called through redis-py once per check.

{machine.description()}
"""


def main() -> None:
    """Measure, print, judge, and keep a whole run."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("--rounds", type=int, metavar="N", help="default 5; with --quick 3")
    parser.add_argument("--quick", action="store_true", help="fewer contenders, situations, rounds")
    parser.add_argument(
        "--only",
        action="append",
        choices=SCENES,
        metavar="SCENE",
        help=f"one of {', '.join(SCENES)}; may be repeated",
    )
    options = parser.parse_args()
    rounds = options.rounds or (3 if options.quick else 5)
    head = HEAD.format(rounds=rounds)
    print(head, flush=True)
    sections = []
    with field() as workers:
        run = Run(workers, FEW if options.quick else ENTRIES, rounds, options.quick)
        for name in options.only or (QUICK if options.quick else SCENES):
            sections.append(SCENES[name](run))
            print(text_of(sections[-1]), flush=True)
            # Nobody keeps what a scene needed.
            workers.close()
    goals = [goal for section in sections for goal in section.goals]
    verdict = f"## Goals\n\n{goals_table(goals)}\n"
    print(verdict, flush=True)
    if not options.quick and not options.only:
        keep("\n".join((head, *map(text_of, sections), verdict)), sections)
    missed = sum(not goal.is_met for goal in goals)
    if missed:
        sys.exit(f"{missed} of {len(goals)} numbers that must be reached are not.")


def text_of(section: Section) -> str:
    """Return a section as it stands on the page."""
    return f"## {section.title}\n\n{section.text}\n"


def keep(page: str, sections: Sequence[Section]) -> None:
    """Write the page and its pictures."""
    DOCS.joinpath("benchmarks.md").write_text(page, encoding="utf-8")
    for section in sections:
        for name, svg in section.pictures.items():
            DOCS.joinpath(name).write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main()
