"""``yeban models``: the built models and the session that runs them.

ML libraries are imported by the commands, not by this module, so that help is shown at once.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from worker.engine.sessions import SESSIONS, Choice, Session, available_sessions, choose, trt_engines
from worker.engine.sessions.devices import find_devices
from worker.engine.sessions.machine import this_machine
from yeban.errors import ModelUnusable, UnknownModel, msg
from yeban.runtime.parameters import as_json, model_dir
from yeban.runtime.terminal import print_json
from yeban.settings import get_settings

if TYPE_CHECKING:
    from worker.engine.manifest import Manifest


@click.group()
def models() -> None:
    """List, build and check models."""


@models.command("list")
@model_dir
@as_json
def list_(model_dir: Path, as_json: bool) -> None:
    """List the built models."""
    from worker.engine.models import recipes, store  # noqa: PLC0415 - heavy

    manifests = store.list_models(model_dir)
    if as_json:
        print_json({"models": [_summary(manifest) for manifest in manifests]})
    elif manifests:
        for manifest in manifests:
            click.echo(_line(manifest))
    else:
        click.echo(
            f"No model is built in {model_dir}. Build one with: yeban models build {next(iter(recipes.RECIPES))}"
        )


def _known_scheme(context: click.Context, option: click.Parameter, scheme: str | None) -> str | None:
    from worker.engine.nli.int8 import SCHEMES  # noqa: PLC0415 - heavy

    return None if scheme is None else click.Choice(tuple(SCHEMES)).convert(scheme, option, context)


@models.command()
@click.argument("name")
@click.option("--name", "called", help="Name for a model built from a folder; by default the folder's name.")
@click.option(
    "--int8",
    "scheme",
    callback=_known_scheme,
    help="INT8 scheme of a cross-encoder: static, mixed, careful or dynamic; by default the fastest that keeps labels.",
)
@click.option("--force", is_flag=True, help="Build even if an intact model exists.")
@model_dir
@as_json
def build(*, name: str, called: str | None, scheme: str | None, force: bool, model_dir: Path, as_json: bool) -> None:
    """Build a model for this machine.

    NAME is a known model, or the folder of a checkpoint.
    """
    from worker.engine.models import store  # noqa: PLC0415 - heavy

    manifest = store.build(name, model_dir, called=called, scheme=scheme, force=force)
    if as_json:
        print_json(_summary(manifest))
    else:
        click.echo(_line(manifest))


@models.command()
@click.argument("name")
@model_dir
@as_json
def check(name: str, model_dir: Path, as_json: bool) -> None:
    """Verify a model and measure it again.

    Compares the files of the model NAME with its manifest, and its scores with fp32.
    """
    from worker.engine.models import verification  # noqa: PLC0415 - heavy

    report = verification.verify(name, model_dir)
    if as_json:
        print_json({**asdict(report), "good": report.good})
    else:
        for figure in report.parity:
            measures = ", ".join(f"{name.replace('_', ' ')} {value:.6g}" for name, value in figure.measures.items())
            click.echo(f"{report.name}: {figure.precision} in {figure.session}, {figure.sample}: {measures}")
        if report.good:
            click.echo(f"{report.name}: good")
    if not report.good:
        problems = "; ".join(report.problems)
        raise ModelUnusable(
            msg(
                "The model %(name)s is damaged: %(problems)s. Build it again with --force.",
                name=report.name,
                problems=problems,
            )
        )


@models.command("build-engine")
@click.argument("name")
@click.option(
    "--max-batch", type=click.IntRange(min=1), metavar="N", help="Most rows of one call, for GPUs with little memory."
)
@model_dir
@as_json
def build_engine(name: str, max_batch: int | None, model_dir: Path, as_json: bool) -> None:
    """Build a TensorRT engine for this GPU and driver.

    NAME is a built cross-encoder.
    """
    from worker.engine.manifest import NliSpec  # noqa: PLC0415 - heavy
    from worker.engine.models import store  # noqa: PLC0415 - heavy

    machine = this_machine()
    folder = store.find(name, model_dir)
    manifest = store.load(folder)
    spec = manifest.spec
    if not isinstance(spec, NliSpec):
        raise ModelUnusable(
            msg(
                "%(manifest)s is a model of the kind %(kind)s, but engines can only be built for cross-encoders.",
                manifest=manifest.name,
                kind=manifest.kind,
            )
        )
    # Report everything else that is missing before the long build.
    wanted = (trt_engines.PRECISION,)
    choose({"tensorrt": wanted}, session="tensorrt", device="cuda", engines=wanted, machine=machine)
    from worker.engine.nli.expectations import Expected  # noqa: PLC0415 - heavy
    from worker.engine.nli.parity import hold_against  # noqa: PLC0415 - heavy
    from worker.engine.sessions import trt_build  # noqa: PLC0415 - needs the extra gpu

    def verify(session: Session, model: Path) -> None:
        hold_against(session, Expected.load(model), spec, precision=trt_engines.PRECISION)

    path = trt_build.build_engine(folder, manifest, machine, verify=verify, max_batch=max_batch)
    if as_json:
        print_json({"name": manifest.name, "engine": str(path), "bytes": path.stat().st_size})
    else:
        click.echo(f"{manifest.name}: {path}, {path.stat().st_size / 2**20:.0f} MiB")


@models.command()
@model_dir
@as_json
def session(model_dir: Path, as_json: bool) -> None:
    """Show the session for the model, and the reason."""
    devices = find_devices()
    choice = _chosen(model_dir)
    if as_json:
        print_json({"sessions": available_sessions(), "choice": asdict(choice), "devices": asdict(devices)})
        return
    click.echo(f"{choice.session}, {choice.precision} on {choice.device}, {choice.threads} threads: {choice.reason}")
    for gpu in devices.gpus:
        click.echo(f"GPU {gpu.index}: {gpu}, driver {devices.driver}")
    if devices.reason is not None:
        click.echo(f"no GPU: {devices.reason}")


def _chosen(model_dir: Path) -> Choice:
    """The session for the configured model. A model that is not built counts as a CPU build."""
    from worker.engine.models import store  # noqa: PLC0415 - heavy
    from worker.engine.sessions.selection import select  # noqa: PLC0415 - heavy

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
