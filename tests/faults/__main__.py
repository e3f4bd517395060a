"""``scripts/faults --minutes N --seed S``: the long form."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
from pathlib import Path

from tests.faults.kinds import KINDS
from tests.faults.processes import ROOT
from tests.faults.run import Plan, run
from yeban.telemetry.logs import configure_logging

_PAGE = ROOT / "docs" / "reliability.md"
_RECORDED = "## A recorded run\n"


def main() -> int:
    """Run and print the report; 1 on any violation, 130 when it was broken off."""
    parser = argparse.ArgumentParser(
        prog="scripts/faults", description="Prove that nothing is lost and nothing doubled."
    )
    parser.add_argument("--minutes", type=float, default=5.0, help="how long faults strike (default 5)")
    parser.add_argument("--seed", type=int, default=1, help="decides jobs, texts and the order of faults (default 1)")
    parser.add_argument(
        "--only", action="append", default=[], help="only kinds with this in their name; may be repeated"
    )
    parser.add_argument("--schedule", action="store_true", help="print the schedule and do nothing")
    parser.add_argument("--quiet", action="store_true", help="print only the report")
    parser.add_argument("--record", action="store_true", help=f"keep the report in {_PAGE.relative_to(ROOT)}")
    parser.add_argument("--logs", type=Path, help="a folder for what the processes said")
    options = parser.parse_args()
    kinds = tuple(kind for kind in KINDS if not options.only or any(part in kind.name for part in options.only))
    command = f"scripts/faults --minutes {options.minutes:g} --seed {options.seed}"
    plan = Plan(
        seed=options.seed,
        seconds=60 * options.minutes,
        kinds=kinds,
        command=command + "".join(f" --only {part!r}" for part in options.only),
        keep_logs=options.logs,
    )
    if options.schedule:
        for strike in plan.schedule():
            print(f"{strike.at_s:7.1f} s  {strike.kind}")
        return 0
    configure_logging("ERROR")
    logging.getLogger("yeban.runtime.servers").setLevel(logging.CRITICAL)  # that servers die is what this is about
    # Being told to end is no different from Ctrl-C, also where a shell in the background has that ignored: all that was
    # started is stopped first.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        outcome = run(plan, say=(lambda _line: None) if options.quiet else lambda line: print(line, flush=True))
    except KeyboardInterrupt:
        print("Broken off; everything was stopped.", file=sys.stderr)
        return 128 + signal.SIGINT
    report = "\n".join(outcome.lines())
    print(report)
    if options.record:
        written, heading, _ = _PAGE.read_text(encoding="utf-8").partition(_RECORDED)
        _PAGE.write_text(f"{written}{heading}\n{report.strip()}\n", encoding="utf-8")
    if not outcome.good:
        print(f"\nFAILED. Run `{plan.command}` again; --logs FOLDER keeps what the processes said.")
    return 0 if outcome.good else 1


if __name__ == "__main__":
    sys.exit(main())
