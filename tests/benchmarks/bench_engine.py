"""Our cross-encoder beside ModelScope's pipeline, Hugging Face's, torch's and ONNX Runtime's INT8.

``scripts/bench engine`` compares all on one checkpoint of random weights; with ``--trained`` it measures on a trained
one what int8 costs, with ``--ways`` how else our graph could be run. ``--record`` renews that section of the page.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from tests.benchmarks.engine import comparing, trained, ways
from tests.benchmarks.engine.material import SIZES
from tests.benchmarks.engine.page import publish
from worker.engine.nli.int8 import SCHEMES
from worker.engine.sessions.machine import default_threads

_NEEDED = ("torch", "transformers", "modelscope", "onnxruntime")
_MISSING = 2


def main() -> int:
    """Measure one section; 2 where a library is missing."""
    arguments = _arguments()
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        print(
            f"Nothing was measured. Missing: {', '.join(missing)}. Start it with scripts/bench engine, which installs "
            "them into .venv-parity, or install the extras yeban[worker,cpu,models].",
            file=sys.stderr,
        )
        return _MISSING
    # Ended from outside it still removes its temporary folders and ends its children.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    section, command = arguments.geometry, f"scripts/bench engine --geometry {arguments.geometry}"
    with _folder(arguments.keep) as folder:
        if arguments.trained:
            section, command = "trained", "scripts/bench engine --trained FOLDER --files FILE.csv…"
            lines = trained.measure(
                folder, arguments.trained, arguments.files, rows=arguments.rows, threads=arguments.threads
            )
        elif arguments.ways:
            section, command = "ways", "scripts/bench engine --ways"
            lines = ways.measure(
                folder, arguments.geometry, arguments.only, rounds=arguments.rounds, threads=arguments.threads
            )
        else:
            names = arguments.only or comparing.COMPARED
            lines = comparing.compare(
                folder,
                arguments.geometry,
                names,
                scheme=arguments.int8,
                rounds=arguments.rounds,
                threads=arguments.threads,
            )
    publish(section, command, lines, record=arguments.record)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench engine", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--record", action="store_true", help="keep the figures in docs/benchmarks/engine.md")
    parser.add_argument("--geometry", choices=SIZES, default="base", help="size of the checkpoint; tiny is for trying")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=default_threads(), help="of each contender; all cores")
    parser.add_argument("--int8", choices=SCHEMES, default="mixed", help="our way to int8 that targets are judged by")
    parser.add_argument("--only", type=_names, default=(), metavar="NAME,…", help="leave the other contenders out")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="make the models here, and use them again")
    parser.add_argument("--ways", action="store_true", help="compare other ways to run our graph")
    parser.add_argument("--trained", type=Path, metavar="FOLDER", help="a trained cross-encoder to quantise")
    parser.add_argument("--files", type=Path, nargs="+", default=(), metavar="FILE", help="labelled CSVs for --trained")
    parser.add_argument("--rows", type=int, default=300, help="held-out rows of each file for --trained")
    arguments = parser.parse_args()
    if arguments.record and (arguments.geometry == "tiny" or arguments.only):
        parser.error("--record needs all contenders, at a published geometry")
    if arguments.trained and not arguments.files:
        parser.error("--trained needs --files")
    known = {*ways.NAMES} if arguments.ways else {*comparing.COMPARED}
    if unknown := sorted({*arguments.only} - known):
        parser.error(f"--only does not know {', '.join(unknown)}; there are {', '.join(sorted(known))}")
    return arguments


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


@contextmanager
def _folder(kept: Path | None) -> Iterator[Path]:
    if kept is not None:
        kept.mkdir(parents=True, exist_ok=True)
        yield kept
        return
    with tempfile.TemporaryDirectory(prefix="yeban-bench-") as folder:
        yield Path(folder)


if __name__ == "__main__":
    sys.exit(main())
