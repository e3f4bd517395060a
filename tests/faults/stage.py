"""What a run consists of: the bundled servers, the web, bulk workers behind proxies, and how to reach them."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import redis
from psycopg.rows import dict_row
from sqlalchemy.engine import make_url

from tests.faults.clock import DatabaseClock, database_clock
from tests.faults.disk import SmallDisk, small_disk, unmount
from tests.faults.orders import Orders
from tests.faults.processes import Program, Programs
from tests.faults.proxy import Proxy, Weather
from tests.fixtures.ports import free_port
from tests.fixtures.receiver import FakeReceiver
from tests.fixtures.servers import find_fast_folder
from yeban.database.engine import Database
from yeban.database.migrations import migrate
from yeban.messaging.queues import TaskSender
from yeban.runtime import supervisor
from yeban.runtime.programs import python_command
from yeban.runtime.servers import Endpoints, open_servers
from yeban.settings import Settings, load_settings

LEASE_S = 2.0
GROUP_DEADLINE_S = 4.0
MODEL = "predictable-a"
_PER_TEXT_S = 0.0015
# Short times, so that what takes half a minute in production takes a second or two here.
_TIMES = {
    "YEBAN_LEASE_S": str(LEASE_S),
    "YEBAN_HEARTBEAT_S": "0.5",
    "YEBAN_SWEEP_INTERVAL_S": "0.5",
    "YEBAN_HINT_TTL_S": "3",
    "YEBAN_GROUP_DEADLINE_S": str(GROUP_DEADLINE_S),
    "YEBAN_DRAIN_S": "5",
    "YEBAN_GROUP_CHUNKS": "4",
    "YEBAN_CHUNK_ROWS": "8",
    # The receiver of webhooks is on loopback.
    "YEBAN_WEBHOOK_PRIVATE_ADDRESSES": "true",
    "YEBAN_BULK_NICE": "0",  # or whatever else the machine does comes before them
}
# Ten seconds in production, after a server has died five times in a minute; here it is always killed so often.
_RESTART_PAUSE_S = 1.0


@dataclass(frozen=True)
class Slot:
    """One bulk worker: its program, its orders, and its two ways to the servers."""

    program: Program
    orders: Orders
    to_database: Proxy
    to_redis: Proxy

    def heal(self) -> None:
        """Nothing is wrong with it from here on."""
        self.orders.withdraw()
        self.orders.set_clock(0.0)
        for proxy in (self.to_database, self.to_redis):
            proxy.set(Weather.FAIR)
        if self.program.process is not None:
            self.program.send(signal.SIGCONT, self.program.process.pid)


class Hurt:
    """Whether the web may be away because a fault struck it, and whether it was while somebody asked."""

    def __init__(self) -> None:
        self._now = threading.Event()
        self._times = 0

    def begin(self) -> None:
        """From here on its silence counts for nothing."""
        self._times += 1
        self._now.set()

    def end(self) -> None:
        """It answers again."""
        self._now.clear()

    def since_now(self) -> Callable[[], bool]:
        """What tells whether the web was hurt at any moment from now on, however late it is asked."""
        now, times = self._now.is_set(), self._times
        return lambda: now or self._times != times


@dataclass(frozen=True)
class Stage:
    """A running system of its own."""

    folder: Path
    settings: Settings
    endpoints: Endpoints
    url: str
    web: Program
    slots: list[Slot]
    programs: Programs
    disk: SmallDisk | str
    clock: DatabaseClock | str
    database: Database
    sender: TaskSender
    receiver: FakeReceiver
    web_hurt: Hurt = field(default_factory=Hurt)

    @property
    def data_dir(self) -> Path:
        return self.settings.data_dir

    @property
    def temp_dir(self) -> Path:
        """The temporary folder of every program."""
        return self.folder / "tmp"

    def connect(self) -> psycopg.Connection[dict[str, object]]:
        """A direct connection to the database, past every proxy."""
        parts = make_url(self.endpoints.database_url)
        return psycopg.connect(
            host=str(parts.query["host"]),
            user=parts.username,
            dbname=parts.database,
            autocommit=True,
            connect_timeout=60,
            row_factory=dict_row,
        )

    def redis(self) -> redis.Redis:
        """A direct connection to Valkey."""
        return redis.Redis.from_url(self.endpoints.redis_url, socket_timeout=60)

    def postmaster_pid(self) -> int:
        """The process id of PostgreSQL's first process."""
        path = self.data_dir / "postgres" / "data" / "postmaster.pid"
        return int(path.read_text(encoding="utf-8").split("\n", 1)[0])

    def heal(self) -> None:
        """End every fault that is going on."""
        if isinstance(self.disk, SmallDisk):
            self.disk.free()
        self.receiver.heal()
        for slot in self.slots:
            slot.heal()


@contextlib.contextmanager
def open_stage(*, workers: int = 2) -> Iterator[Stage]:
    """Start it all in a folder of its own under memory or the temporary folder, and leave nothing behind."""
    with contextlib.ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="yeban-faults-", dir=find_fast_folder()))
        stack.callback(shutil.rmtree, folder)
        folder.chmod(0o711)
        data_dir = folder / "data"
        for made in (data_dir, folder / "tmp", folder / "logs", folder / "orders"):
            made.mkdir(mode=0o711)
        disk = stack.enter_context(small_disk(data_dir / "postgres"))
        clock = stack.enter_context(database_clock(folder / "clock"))
        settings = load_settings(data_dir=data_dir, database_url=None, redis_url=None, model=MODEL)
        stack.enter_context(_short_pauses())
        endpoints = stack.enter_context(open_servers(settings))
        migrate(endpoints.database_url)
        environment = _environment(folder)
        slots = [_slot(folder, f"bulk-{number}", endpoints, environment, stack) for number in range(workers)]
        port = free_port()
        web = Program(
            "web",
            python_command("web"),
            environment
            | {
                "YEBAN_DATABASE_URL": endpoints.database_url,
                "YEBAN_REDIS_URL": endpoints.redis_url,
                "YEBAN_PORT": str(port),
            },
            folder / "logs" / "web.log",
        )
        programs = Programs([web, *(slot.program for slot in slots)])
        database = Database(endpoints.database_url)
        stack.callback(database.close)
        sender = TaskSender.connect("yeban-faults", settings, endpoints.redis_url)
        stack.callback(sender.close)
        receiver = FakeReceiver()
        stack.callback(receiver.stop)
        stage = Stage(
            folder=folder,
            settings=settings,
            endpoints=endpoints,
            url=f"http://127.0.0.1:{port}",
            web=web,
            slots=slots,
            programs=programs,
            disk=disk,
            clock=clock,
            database=database,
            sender=sender,
            receiver=receiver,
        )
        stack.callback(programs.stop)
        stack.callback(stage.heal)
        programs.start()
        yield stage


@contextlib.contextmanager
def _short_pauses() -> Iterator[None]:
    """Servers that die often are not left alone for long within the block."""
    real = supervisor._MAX_PAUSE_S
    supervisor._MAX_PAUSE_S = _RESTART_PAUSE_S
    try:
        yield
    finally:
        supervisor._MAX_PAUSE_S = real


def remove(folder: Path) -> None:
    """Remove what a run that was killed has left of its files."""
    unmount(folder / "data" / "postgres")
    shutil.rmtree(folder, ignore_errors=True)


def _environment(folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("YEBAN_")}
    return (
        kept
        | _TIMES
        | {
            "YEBAN_DATA_DIR": str(folder / "data"),
            "YEBAN_MODEL": MODEL,
            "TMPDIR": str(folder / "tmp"),
        }
    )


def _slot(
    folder: Path, name: str, endpoints: Endpoints, environment: Mapping[str, str], stack: contextlib.ExitStack
) -> Slot:
    parts = make_url(endpoints.database_url)
    to_database = Proxy(Path(str(parts.query["host"])) / ".s.PGSQL.5432")
    stack.callback(to_database.close)
    to_redis = Proxy(Path(urlsplit(endpoints.redis_url).path))
    stack.callback(to_redis.close)
    orders = Orders(folder / "orders" / name)
    orders.folder.mkdir()
    program = Program(
        name,
        [sys.executable, "-m", "tests.faults.worker_under_test", str(orders.folder), str(_PER_TEXT_S)],
        {
            **environment,
            "YEBAN_DATABASE_URL": f"postgresql://{parts.username}@127.0.0.1:{to_database.port}/{parts.database}"
            "?sslmode=disable&gssencmode=disable",
            "YEBAN_REDIS_URL": f"redis://127.0.0.1:{to_redis.port}/0",
        },
        folder / "logs" / f"{name}.log",
    )
    return Slot(program=program, orders=orders, to_database=to_database, to_redis=to_redis)
