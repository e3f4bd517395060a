"""Pictures of every page for the documents: ``scripts/screenshots [FOLDER]``.

They are of the real service with the sample tickets, and made small with ``pngquant`` and ``optipng`` where these are.
"""

from __future__ import annotations

import base64
import csv
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx

from tests.browser.browser import Browser
from tests.browser.looks import DESKTOP, PHONE, Look
from tests.browser.pages import AccountPage, ClassifyPage, DraftPage, ReviewPage, SignInPage, UploadPage
from tests.browser.paths import ROOT
from tests.browser.site import Site, running_site, with_accounts
from tests.fixtures.samples import LABELS
from worker.engine.embedding import build
from worker.engine.models import store

FOLDER = ROOT / "docs" / "screenshots"
SAMPLES = ROOT / "samples" / "tickets.csv"
# So many that one can be caught while it runs.
_MANY_ROWS = 12_000
_CAUGHT_PERCENT = range(35, 90)
_PASSWORD = "night shift 2026"

_TALLEST_PX = {DESKTOP: 1100, PHONE: 1300}
_COLOURS = 48
_TOP = """
scrollTo(0, 0);
return document.getElementById(arguments[0]).closest("section").getBoundingClientRect().top - 16;
"""
# Behind the last thing that is seen, and not the lower edge of the window.
_END = """
scrollTo(0, 0);
const seen = [...document.querySelectorAll("main > *, footer > *")].map(each => each.getBoundingClientRect().bottom);
return Math.max(...seen) + 32;
"""

ZH = Look(language="zh", theme="light")
ZH_DARK = Look(language="zh", theme="dark")
ZH_PHONE = Look(language="zh", theme="light", screen=PHONE)
ZH_PHONE_DARK = Look(language="zh", theme="dark", screen=PHONE)
EN = Look(language="en", theme="light")
EN_DARK = Look(language="en", theme="dark")
EN_PHONE = Look(language="en", theme="light", screen=PHONE)
EN_PHONE_DARK = Look(language="en", theme="dark", screen=PHONE)


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What there is to take pictures of."""

    site: Site
    browser: Browser
    files: Path
    job_id: str
    set_id: str

    def path(self, path: str) -> None:
        self.browser.open(path.format(job=self.job_id, set=self.set_id))
        self.browser.find("//main//h1")

    def classified(self) -> None:
        page = ClassifyPage(self.browser)
        page.open()
        page.tag("包裹三天没动了，快递到底送到哪里了", ",".join(LABELS))
        page.scores()
        self.browser.run("document.activeElement.blur()")

    def draft(self) -> None:
        upload, draft = UploadPage(self.browser), DraftPage(self.browser)
        upload.open()
        upload.hand_in(self.files / "十二月工单.csv")
        draft.counts()
        draft.enter_labels(",".join(LABELS))
        draft.try_first_rows()
        self.browser.run("window.scrollTo(0, 0)")

    def running(self) -> None:
        job_id = self.site.job(self.files / "全年工单.csv", LABELS, text_column="text")

        def percent() -> bool:
            progress = self.site.look_at(job_id)["progress"]
            return int(100 * progress["done"] / progress["rows"]) in _CAUGHT_PERCENT

        self.browser.wait(percent, "a job in the midst", timeout_s=120)
        self.browser.open(f"/jobs/{job_id}")
        self.browser.find("//main//section[@id='live']")

    def reviewed(self) -> None:
        page = ReviewPage(self.browser)
        page.open(self.job_id)
        page.rows()

    def sign_in(self) -> None:
        self.browser.open("/sign-in")
        self.browser.find("//main//h1")

    def account(self) -> None:
        self._sign_in()
        account = AccountPage(self.browser)
        account.open()
        account.make_token("每晚导出")

    def accounts(self) -> None:
        self._sign_in()
        for name, team in (("小王", "售后"), ("小李", "售后"), ("小陈", "财务")):
            self.browser.open("/accounts")
            for field, text in (("name", name), ("team", team), ("password", _PASSWORD)):
                self.browser.fill(field, text)
            self.browser.press("Add")
            self.browser.find(f"//main//table//a[.='{name}']")

    def _sign_in(self) -> None:
        self.sign_in()
        SignInPage(self.browser).sign_in("admin", _PASSWORD)
        self.browser.wait(lambda: not self.browser.path.startswith("/sign-in"), "the first page")


def _at(path: str) -> Callable[[Scene], None]:
    return lambda scene: scene.path(path)


#: Each picture by its name: how it is looked at, and how one gets there.
PICTURES: dict[str, tuple[Look, Callable[[Scene], None]]] = {
    "classify": (ZH, Scene.classified),
    "classify-phone": (EN_PHONE_DARK, Scene.classified),
    "label-sets": (EN, _at("/label-sets")),
    "label-set": (ZH, _at("/label-sets/{set}")),
    "label-set-edit": (ZH_DARK, _at("/label-sets/{set}/edit")),
    "upload": (EN, _at("/upload")),
    "draft": (ZH, Scene.draft),
    "draft-tried": (EN, Scene.draft),
    "draft-phone": (ZH_PHONE_DARK, Scene.draft),
    "job-running": (EN, Scene.running),
    "job": (ZH, _at("/jobs/{job}")),
    "job-phone": (ZH_PHONE, _at("/jobs/{job}")),
    "jobs": (EN_DARK, _at("/jobs")),
    "jobs-phone": (ZH_PHONE, _at("/jobs")),
    "review": (ZH_DARK, Scene.reviewed),
    "review-phone": (EN_PHONE, Scene.reviewed),
    "accuracy": (ZH, _at("/jobs/{job}/accuracy")),
    "confusions": (EN_DARK, _at("/jobs/{job}/accuracy")),
    "webhooks": (EN, _at("/webhooks")),
    "api": (ZH_DARK, _at("/docs/api")),
}
#: Where those pictures begin that are not of a page's top.
BEGIN = {"draft-tried": "labels-head", "confusions": "h-confusions"}
#: Those of a server that asks who it is.
PICTURES_WITH_ACCOUNTS: dict[str, tuple[Look, Callable[[Scene], None]]] = {
    "sign-in-phone": (ZH_PHONE, Scene.sign_in),
    "account": (EN, Scene.account),
    "accounts": (ZH, Scene.accounts),
}


def main() -> None:
    """Take them all."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    with _scenes() as (scene, scene_with_accounts):
        for place, pictures in ((scene, PICTURES), (scene_with_accounts, PICTURES_WITH_ACCOUNTS)):
            for name, (look, arrive) in pictures.items():
                place.browser.wear(look)
                arrive(place)
                path = folder / f"{name}.png"
                path.write_bytes(_picture(place.browser, BEGIN.get(name)))
                _make_small(path)
                print(f"{path}  {path.stat().st_size / 1024:.0f} KiB")


@contextmanager
def _scenes() -> Iterator[tuple[Scene, Scene]]:
    """The service with the sample tickets, tagged; and a second one on the same database, with accounts."""
    with ExitStack() as open_now:
        work = Path(open_now.enter_context(tempfile.TemporaryDirectory(prefix="yeban-screenshots-")))
        work.chmod(0o711)
        store.build(build.NAME, work / "models")
        site = open_now.enter_context(running_site(work / "models"))
        closed = open_now.enter_context(with_accounts(site, _PASSWORD))
        browsers = [Browser(each.url, work) for each in (site, closed)]
        for browser in browsers:
            open_now.callback(browser.close)
        files = work / "files"
        _write_files(files)
        job_id, set_id = _furnish(site, files)
        yield (
            Scene(site=site, browser=browsers[0], files=files, job_id=job_id, set_id=set_id),
            Scene(site=closed, browser=browsers[1], files=files, job_id=job_id, set_id=set_id),
        )


def _write_files(folder: Path) -> None:
    folder.mkdir()
    for name in ("十一月工单.csv", "十二月工单.csv"):
        shutil.copy(SAMPLES, folder / name)
    with SAMPLES.open(encoding="utf-8-sig", newline="") as file:
        texts = [row["text"] for row in csv.DictReader(file)]
    with (folder / "全年工单.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["id", "text"])
        for number in range(_MANY_ROWS):
            # Each text only once, or it would come out of the cache.
            table.writerow([number + 1, f"{texts[number % len(texts)]}（单号{100_000 + number}）"])


def _furnish(site: Site, files: Path) -> tuple[str, str]:
    """A job that has ended, others beside it, and a label set in two versions; the ids of the job and of the set."""
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).replace(hour=2, minute=30, second=0, microsecond=0)
    site.job(files / "十二月工单.csv", LABELS, text_column="text", start_at=tomorrow.isoformat())
    job_id = site.ended_job(files / "十一月工单.csv", LABELS, text_column="text", gold_column="label")
    meant = {
        "物流配送": ("包裹到了哪里，何时能到", ["快递三天没有动", "显示签收了但没收到"]),
        "退款退货": ("要求退货，或问退款何时到账", ["尺码不合适想退"]),
        "发票": ("开具、修改、补寄发票", ["发票抬头写错了"]),
    }
    labels = [{"name": name, "description": meant.get(name, ("",))[0]} for name in LABELS[:-1]]
    made = httpx.post(f"{site.url}/api/v1/label-sets", json={"name": "售后工单", "labels": labels}).raise_for_status()
    full = [
        {"name": name, "description": meant.get(name, ("", []))[0], "examples": list(meant.get(name, ("", []))[1])}
        for name in LABELS
    ]
    set_id = str(made.json()["id"])
    httpx.put(f"{site.url}/api/v1/label-sets/{set_id}", json={"labels": full, "version": 1}).raise_for_status()
    other = {"name": "内容审核", "labels": ["广告", "辱骂", "隐私泄露", "正常"], "multi_label": True, "threshold": 0.6}
    httpx.post(f"{site.url}/api/v1/label-sets", json=other).raise_for_status()
    httpx.post(f"{site.url}/api/v1/webhooks", json={"url": "https://hooks.example.com/yeban"}).raise_for_status()
    return job_id, set_id


def _picture(browser: Browser, begin: str | None) -> bytes:
    """The page from its top, or from the part with that heading, to its end or as far as is wanted, as PNG."""
    top = 0 if begin is None else browser.run(_TOP, begin)
    screen = browser.look.screen
    height = min(_TALLEST_PX[screen], int(browser.run(_END)) - top)
    clip = {"x": 0, "y": top, "width": screen.width, "height": height, "scale": 1}
    taken = browser.driver.execute_cdp_cmd("Page.captureScreenshot", {"clip": clip, "captureBeyondViewport": True})
    return base64.b64decode(taken["data"])


def _make_small(path: Path) -> None:
    for command in (["pngquant", "--force", "--ext", ".png", str(_COLOURS)], ["optipng", "-quiet", "-o4"]):
        if shutil.which(command[0]):
            subprocess.run([*command, str(path)], check=True)


if __name__ == "__main__":
    main()
