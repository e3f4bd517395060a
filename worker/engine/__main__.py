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

from worker.engine.manifest import Manifest, NliSpec
from worker.engine.models import store, verification
from worker.engine.models.recipes import RECIPES
from worker.engine.nli.int8 import SCHEMES
from worker.engine.sessions import SESSIONS, Choice, Session, available_sessions, choose, trt_engines
from worker.engine.sessions.devices import find_devices
from worker.engine.sessions.machine import this_machine
from worker.engine.sessions.selection import select
from yeban.errors import ModelUnusable, UnknownModel, YebanError, msg
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
            return _build(options, model_dir)
        if options.command == "check":
            return _check(options.name, model_dir, as_json=options.json)
        if options.command == "build-engine":
            return _build_engine(options.name, model_dir, max_batch=options.max_batch, as_json=options.json)
        return _doctor(model_dir, as_json=options.json)
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
    build.add_argument("model", help=f"one of {', '.join(RECIPES)}; or a folder with a checkpoint")
    build.add_argument("--name", dest="called", help="what to call the model of a folder (default: as the folder)")
    build.add_argument(
        "--int8", choices=tuple(SCHEMES), help="a cross-encoder's way to int8 (default: the fastest that keeps labels)"
    )
    build.add_argument("--force", action="store_true", help="build again even if it is there and intact")
    check = commands.add_parser("check", parents=[common], help="hash a model's files and measure its parity again")
    check.add_argument("name", help="a model's name, or a folder that holds a built one")
    engine = commands.add_parser(
        "build-engine", parents=[common], help="build a model's TensorRT engine for this GPU and driver"
    )
    engine.add_argument("name", help="a model's name, or a folder that holds a built one")
    engine.add_argument("--max-batch", type=_positive, help="most rows of one call, for GPUs with little memory")
    commands.add_parser("doctor", parents=[common], help="say what would run a model here, and why")
    return parser


def _list(model_dir: Path, *, as_json: bool) -> int:
    manifests = store.list_models(model_dir)
    if as_json:
        _print_json([_summary(manifest) for manifest in manifests])
    elif manifests:
        for manifest in manifests:
            click.echo(_line(manifest))
    else:
        click.echo(f"No model is built in {model_dir}. Build one with: yeban models build {next(iter(RECIPES))}")
    return 0


def _build(options: argparse.Namespace, model_dir: Path) -> int:
    manifest = store.build(options.model, model_dir, called=options.called, scheme=options.int8, force=options.force)
    if options.json:
        _print_json(_summary(manifest))
    else:
        click.echo(_line(manifest))
    return 0


def _check(name: str, model_dir: Path, *, as_json: bool) -> int:
    report = verification.verify(name, model_dir)
    if as_json:
        _print_json({**asdict(report), "good": report.good})
        return 0 if report.good else 1
    for problem in report.problems:
        click.echo(f"{report.name}: {problem}", err=True)
    for figure in report.parity:
        measures = ", ".join(f"{name.replace('_', ' ')} {value:.6g}" for name, value in figure.measures.items())
        click.echo(f"{report.name}: {figure.precision} in {figure.session}, {figure.sample}: {measures}")
    click.echo(f"{report.name}: {'good' if report.good else 'damaged; build it again with --force'}")
    return 0 if report.good else 1


def _build_engine(name: str, model_dir: Path, *, max_batch: int | None, as_json: bool) -> int:
    machine = this_machine()
    folder = store.find(name, model_dir)
    manifest = store.load(folder)
    spec = manifest.spec
    if not isinstance(spec, NliSpec):
        raise ModelUnusable(
            msg(
                "%(manifest)s is of the kind %(kind)s; engines are built of cross-encoders.",
                manifest=manifest.name,
                kind=manifest.kind,
            )
        )
    # As if there were an engine: says at once what else is missing to run one.
    wanted = (trt_engines.PRECISION,)
    choose({"tensorrt": wanted}, session="tensorrt", device="cuda", engines=wanted, machine=machine)
    from worker.engine.nli.expectations import Expected  # noqa: PLC0415 - heavy
    from worker.engine.nli.parity import hold_against  # noqa: PLC0415 - heavy
    from worker.engine.sessions.trt_build import build_engine  # noqa: PLC0415 - needs the extra gpu

    def verify(session: Session, model: Path) -> None:
        hold_against(session, Expected.load(model), spec, precision=trt_engines.PRECISION)

    path = build_engine(folder, manifest, machine, verify=verify, max_batch=max_batch)
    if as_json:
        _print_json({"name": manifest.name, "engine": str(path), "bytes": path.stat().st_size})
    else:
        click.echo(f"{manifest.name}: {path}, {path.stat().st_size / 2**20:.0f} MiB")
    return 0


def _doctor(model_dir: Path, *, as_json: bool) -> int:
    devices = find_devices()
    choice = _chosen(model_dir)
    if as_json:
        _print_json({"sessions": available_sessions(), "choice": asdict(choice), "devices": asdict(devices)})
        return 0
    click.echo(f"{choice.session}, {choice.precision} on {choice.device}, {choice.threads} threads: {choice.reason}")
    for gpu in devices.gpus:
        click.echo(f"GPU {gpu.index}: {gpu}, driver {devices.driver}")
    if devices.reason is not None:
        click.echo(f"no GPU: {devices.reason}")
    return 0


def _chosen(model_dir: Path) -> Choice:
    """What would run the configured model; one still to be built is taken to have what builds have for a CPU."""
    settings = get_settings()
    try:
        folder = store.find(settings.model, model_dir)
        manifest = store.load(folder)
    except (UnknownModel, ModelUnusable):
        return choose(
            dict.fromkeys(SESSIONS, ("int8", "fp32")),
            precision=settings.precision,
            device=settings.device,
            session=settings.session,
            threads=settings.engine_threads,
            model=settings.model,
        )
    choice, _ = select(
        folder,
        manifest,
        precision=settings.precision,
        device=settings.device,
        session=settings.session,
        threads=settings.engine_threads,
    )
    return choice


def _positive(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 1 on")
    return int(text)


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
