"""``python -m worker.engine``: what stands behind ``yeban models`` and the engine's part of ``yeban doctor``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from worker.engine import artifacts, checking
from worker.engine.manifest import Manifest
from worker.engine.sessions import SESSIONS, available_sessions, choose
from yeban.errors import YebanError
from yeban.settings import get_settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0 well, 1 a failed command or a bad model, 2 misuse."""
    options = _parser().parse_args(arguments)
    try:
        settings = get_settings()
        model_dir: Path = options.model_dir or settings.model_dir
        if options.command == "list":
            return _list(model_dir, as_json=options.json)
        if options.command == "build":
            return _build(options.name, model_dir, force=options.force, as_json=options.json)
        if options.command == "check":
            return _check(options.name, model_dir, as_json=options.json)
        return _doctor(as_json=options.json)
    except YebanError as error:
        if options.json:
            _print_json({"error": {"code": error.code, "detail": error.detail}})
        else:
            click.echo(f"yeban: {error.detail}", err=True)
        return 1


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", help="print JSON")
    common.add_argument("--model-dir", type=Path, help="where models live (default: the data directory's models)")
    parser = argparse.ArgumentParser(prog="yeban models", description="Build and check models.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", parents=[common], help="list the models built here")
    build = commands.add_parser("build", parents=[common], help="build a model")
    build.add_argument("name", help=f"one of: {', '.join(artifacts.BUILDERS)}")
    build.add_argument("--force", action="store_true", help="build again even if it is there and intact")
    check = commands.add_parser("check", parents=[common], help="hash a model's files and measure its parity again")
    check.add_argument("name", help="a model's name, or a folder that holds a built one")
    commands.add_parser("doctor", parents=[common], help="say what would run a model here, and why")
    return parser


def _list(model_dir: Path, *, as_json: bool) -> int:
    manifests = artifacts.list_models(model_dir)
    if as_json:
        _print_json([_summary(manifest) for manifest in manifests])
    elif manifests:
        for manifest in manifests:
            click.echo(_line(manifest))
    else:
        click.echo(
            f"No model is built in {model_dir}. Build one with: yeban models build {next(iter(artifacts.BUILDERS))}"
        )
    return 0


def _build(name: str, model_dir: Path, *, force: bool, as_json: bool) -> int:
    manifest = artifacts.build(name, model_dir, force=force)
    if as_json:
        _print_json(_summary(manifest))
    else:
        click.echo(_line(manifest))
    return 0


def _check(name: str, model_dir: Path, *, as_json: bool) -> int:
    report = checking.verify(name, model_dir)
    if as_json:
        _print_json({**asdict(report), "good": report.good})
        return 0 if report.good else 1
    for problem in report.problems:
        click.echo(f"{report.name}: {problem}", err=True)
    for figure in report.parity:
        rows, tokens = figure.shape
        click.echo(
            f"{report.name}: {figure.precision} in {figure.session}, {rows} × {tokens} tokens: "
            f"cosine to fp32 at least {figure.worst_cosine:.6f}, mean {figure.mean_cosine:.6f}"
        )
    click.echo(f"{report.name}: {'good' if report.good else 'damaged; build it again with --force'}")
    return 0 if report.good else 1


def _doctor(*, as_json: bool) -> int:
    settings = get_settings()
    choice = choose(
        dict.fromkeys(SESSIONS, ("int8", "fp32")),
        precision=settings.precision,
        device=settings.device,
        session=settings.session,
        threads=settings.engine_threads,
    )
    if as_json:
        _print_json({"sessions": available_sessions(), "choice": asdict(choice)})
    else:
        click.echo(
            f"{choice.session}, {choice.precision} on {choice.device}, {choice.threads} threads: {choice.reason}"
        )
    return 0


def _summary(manifest: Manifest) -> dict[str, Any]:
    return {
        "name": manifest.name,
        "kind": manifest.kind,
        "fingerprint": manifest.fingerprint,
        "precisions": list(dict.fromkeys(variant.precision for variant in manifest.variants)),
        "bytes": sum(record.size for record in manifest.files),
        "origin": dict(manifest.origin),
        "built": dict(manifest.built),
    }


def _line(manifest: Manifest) -> str:
    size_mib = sum(record.size for record in manifest.files) / 2**20
    precisions = ", ".join(dict.fromkeys(variant.precision for variant in manifest.variants))
    return f"{manifest.name}  {manifest.kind}  {precisions}  {size_mib:.0f} MiB  {manifest.fingerprint[:12]}"


def _print_json(document: Any) -> None:
    click.echo(json.dumps(document, ensure_ascii=False, indent=2))


if __name__ == "__main__":
    sys.exit(main())
