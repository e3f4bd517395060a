"""What docker-compose.yml promises, read as the engine reads it; there is no engine to try it with."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any
from zoneinfo import available_timezones

import click
import pytest
import yaml

from yeban.cli.main import main
from yeban.runtime.servers import software
from yeban.settings import PREFIX, Settings

ROOT = Path(__file__).resolve().parents[3]
PROFILES = ("cpu", "gpu")
SHARED = {"postgres", "valkey", "migrate", "web"}
OURS = "yeban:"

_VARIABLE = re.compile(r"\$\{(\w+):-([^}]*)\}")


def _with_defaults(value: Any) -> Any:
    """``value`` as it is when no variable is set."""
    if isinstance(value, dict):
        return {name: _with_defaults(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_with_defaults(each) for each in value]
    return _VARIABLE.sub(lambda match: match[2], value) if isinstance(value, str) else value


TEXT = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
COMPOSE = _with_defaults(yaml.safe_load(TEXT))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
STEADY = {name: service for name, service in SERVICES.items() if name != "migrate"}
YEBAN = {name: service for name, service in SERVICES.items() if service["image"].startswith(OURS)}

every_service = pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)
every_steady_service = pytest.mark.parametrize("service", STEADY.values(), ids=STEADY)
every_yeban_service = pytest.mark.parametrize("service", YEBAN.values(), ids=YEBAN)


@pytest.mark.parametrize("profile", PROFILES)
def test_a_profile_has_everything_once(profile: str) -> None:
    started = {name for name, service in SERVICES.items() if profile in service["profiles"]}
    roles = sorted(service["command"][2] for name, service in SERVICES.items() if name in started - SHARED)

    assert started >= SHARED
    assert roles == ["bulk", "interactive"]


def test_only_the_workers_of_the_gpu_profile_get_the_gpu_and_its_image() -> None:
    for name, service in SERVICES.items():
        has_gpu = "deploy" in service
        assert has_gpu == name.endswith("-gpu"), name
        if service["image"].startswith(OURS):
            target = "gpu" if has_gpu else "cpu"
            assert (service["image"].rpartition("-")[2], service["build"]["target"]) == (target, target)
        if has_gpu:
            assert service["environment"]["YEBAN_DEVICE"] == "cuda"
            (device,) = service["deploy"]["resources"]["reservations"]["devices"]
            assert (device["driver"], device["capabilities"]) == ("nvidia", ["gpu"])


@every_service
def test_no_service_can_harm_its_host(service: dict[str, Any]) -> None:
    uid, _, gid = service["user"].partition(":")

    assert int(uid) > 0
    assert int(gid) > 0
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["pids_limit"]
    assert not service.keys() & {"privileged", "cap_add", "network_mode", "pid", "ipc", "userns_mode", "devices"}
    assert not any(str(volume).startswith((".", "/", "~")) for volume in service.get("volumes", []))


@every_service
def test_a_service_is_bounded(service: dict[str, Any]) -> None:
    assert re.fullmatch(r"\d+[mg]", service["mem_limit"])
    assert 0 < float(service["cpus"]) <= 2, "more than a small host has"
    assert set(service["logging"]["options"]) == {"max-size", "max-file"}
    for mount in service["tmpfs"]:
        assert "size=" in mount, "without a size it may fill half of the host's memory"


@every_service
def test_an_image_is_pinned_to_an_exact_version(service: dict[str, Any]) -> None:
    tag = service["image"].rpartition(":")[2]

    assert re.match(r"\d+\.\d+", tag)
    assert "latest" not in tag


@every_steady_service
def test_a_service_that_stays_has_a_health_check_and_is_started_again(service: dict[str, Any]) -> None:
    check = service["healthcheck"]

    assert check["test"][0] == "CMD", "no shell"
    assert {"interval", "timeout", "start_period", "retries"} <= check.keys()
    assert service["restart"] == "unless-stopped"


def test_nothing_starts_before_what_it_needs() -> None:
    needs = {
        name: {other: how["condition"] for other, how in service["depends_on"].items()}
        for name, service in YEBAN.items()
    }

    assert needs.pop("migrate") == {"postgres": "service_healthy"}
    for name, needed in needs.items():
        assert needed == {"migrate": "service_completed_successfully", "valkey": "service_healthy"}, name
    assert SERVICES["migrate"]["restart"] == "no"


@pytest.mark.parametrize("service", [each for each in STEADY.values() if each["image"].startswith(OURS)])
def test_a_program_gets_longer_to_stop_than_it_asks_for(service: dict[str, Any]) -> None:
    drain_s = float(service["environment"].get("YEBAN_DRAIN_S", Settings.model_fields["drain_s"].default))

    assert int(service["stop_grace_period"].removesuffix("s")) >= drain_s + 10


def test_how_long_a_worker_has_can_be_set_together_with_what_it_asks_for() -> None:
    worker = yaml.safe_load(TEXT)["services"]["worker-bulk"]

    assert worker["environment"]["YEBAN_DRAIN_S"] == "${YEBAN_DRAIN_S:-30}"
    assert worker["stop_grace_period"] == "${YEBAN_STOP_GRACE_PERIOD:-45s}"


@every_yeban_service
def test_every_variable_is_a_setting(service: dict[str, Any]) -> None:
    settings = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    given = {name for name in service["environment"] if name.startswith(PREFIX)}

    assert {name if name in settings else name.removesuffix("_FILE") for name in given} <= settings
    assert all(isinstance(value, str) for value in service["environment"].values())


def _runs(arguments: list[str]) -> None:
    """Raise unless ``yeban`` takes these arguments."""
    name, *rest = arguments
    parent = click.Context(main, **main.context_settings)  # a command keeps the help option of its first context
    command = main.get_command(parent, name)
    assert command is not None, f"there is no command {name}"
    command.make_context(name, rest, parent=parent)


@every_yeban_service
def test_every_command_is_one_that_yeban_has(service: dict[str, Any]) -> None:
    _runs(service["command"])


@pytest.mark.parametrize("service", [each for each in STEADY.values() if each["image"].startswith(OURS)])
def test_every_health_check_is_a_command_that_yeban_has(service: dict[str, Any]) -> None:
    program, *arguments = service["healthcheck"]["test"][1:]

    assert program == "yeban"
    assert arguments == ["probe", service["command"][0]]
    _runs(arguments)
    if service["command"][0] == "worker":
        path = service["environment"]["YEBAN_HEARTBEAT_FILE"]
        assert any(path.startswith(mount.partition(":")[0]) for mount in service["tmpfs"])


def test_every_worker_shows_its_metrics_inside_the_network_where_prometheus_looks() -> None:
    workers = {name: service for name, service in YEBAN.items() if service["command"][0] == "worker"}
    for name, service in workers.items():
        environment = service["environment"]
        assert (environment["YEBAN_METRICS_HOST"], environment["YEBAN_METRICS_PORT"]) == ("0.0.0.0", "9100"), name  # noqa: S104

    looked_for = {name: one["port"] for job in prometheus(compose=True) for one in job for name in one["names"]}

    assert looked_for == {"web": 8400, "worker-interactive": 9100, "worker-bulk": 9100}
    assert looked_for.keys() <= SERVICES.keys()


def prometheus(*, compose: bool) -> list[Any]:
    """What ``deploy/prometheus.yml`` scrapes, a list for each job; for compose with the other lines commented in."""
    text = (ROOT / "deploy/prometheus.yml").read_text(encoding="utf-8")
    text = re.sub(r"^( +)# (dns_sd_configs:|  - \{)", r"\1\2", text, flags=re.MULTILINE)
    jobs = yaml.safe_load(text)["scrape_configs"]
    assert [job["job_name"] for job in jobs] == ["yeban-web", "yeban-worker"]
    return [job["dns_sd_configs" if compose else "static_configs"] for job in jobs]


def test_prometheus_looks_for_what_yeban_up_starts() -> None:
    port, metrics = Settings.model_fields["port"].default, 9100

    assert prometheus(compose=False) == [
        [{"targets": [f"127.0.0.1:{port}"]}],
        [{"targets": [f"127.0.0.1:{metrics}", f"127.0.0.1:{metrics + 1}"]}],
    ]


def test_only_the_web_is_reached_from_the_host_and_only_from_itself() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}

    assert published == {"web": ["127.0.0.1:8400:8400"]}
    assert COMPOSE["networks"]["inner"]["internal"] is True
    assert {name for name, service in SERVICES.items() if service["networks"] != ["inner"]} == {"web"}


def test_secrets_are_files_and_each_goes_to_those_who_need_it() -> None:
    assert {name: sorted(service["secrets"]) for name, service in SERVICES.items() if name not in YEBAN} == {
        "postgres": ["postgres_password"],
        "valkey": ["valkey_accounts"],
    }
    for name, service in YEBAN.items():
        people = ["admin_password", "secret_key"] if name == "web" else []
        assert sorted(service["secrets"]) == sorted(["database_url", "redis_url", *people])
    used = {secret for service in SERVICES.values() for secret in service["secrets"]}
    assert {name: secret["file"] for name, secret in COMPOSE["secrets"].items()} == {
        name: f"secrets/{name}" for name in used
    }


def test_no_secret_is_an_environment_variable_or_an_argument() -> None:
    for name, service in SERVICES.items():
        for variable, value in service["environment"].items() if "environment" in service else ():
            secret = re.search(r"PASSWORD|SECRET|TOKEN|_URL", variable)
            assert not secret or (variable.endswith("_FILE") and value.startswith("/run/secrets/")), (name, variable)
        assert not re.search(r"pass(word)?=|requirepass|://[^ ]*:[^ ]*@", " ".join(service["command"])), name


def test_what_is_kept_is_in_volumes_and_all_volumes_are_used() -> None:
    used = {str(volume).partition(":")[0] for service in SERVICES.values() for volume in service["volumes"]}

    assert used == set(COMPOSE["volumes"])


def test_the_version_is_the_packages() -> None:
    from yeban import __version__

    assert {service["image"] for service in YEBAN.values()} == {
        f"yeban:{__version__}-{profile}" for profile in PROFILES
    }


def test_postgresql_takes_its_options(tmp_path: Path) -> None:
    program = software.find_postgres().executable
    (tmp_path / "postgresql.conf").touch()
    _, *options = SERVICES["postgres"]["command"]

    for option in options:
        name, _, _value = option.removeprefix("--").partition("=")
        asked = subprocess.run(
            [str(program), "-C", name, "-D", str(tmp_path), *options], capture_output=True, text=True, check=False
        )
        assert asked.returncode == 0, asked.stderr


def test_the_web_has_a_time_zone_that_env_may_change() -> None:
    raw = yaml.safe_load(TEXT)["services"]["web"]["environment"]["TZ"]

    assert raw == "${TZ:-Asia/Shanghai}"
    assert SERVICES["web"]["environment"]["TZ"] in available_timezones()
    assert "\nTZ=\n" in (ROOT / ".env.example").read_text(encoding="utf-8")
