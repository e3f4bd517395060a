"""Pictures of every page for the documents: ``scripts/screenshots [FOLDER]``.

They are of the real service with the sample tickets, and made small with ``pngquant`` and ``optipng`` where these are.
"""

from __future__ import annotations

import base64
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.browser.browser import Browser
from tests.browser.looks import DESKTOP, PHONE, Look
from tests.browser.pages import ClassifyPage
from tests.browser.paths import ROOT
from tests.browser.site import Site, running_site
from worker.engine import artifacts, e5_build

FOLDER = ROOT / "docs" / "screenshots"
SAMPLES = ROOT / "samples" / "tickets.csv"
LABELS = "物流配送,退款退货,软件故障,产品咨询,账号登录,账单支付,优惠活动,发票,服务投诉,表扬感谢"

_TALLEST_PX = {DESKTOP: 1100, PHONE: 1300}
_COLOURS = 64

ZH = Look(language="zh", theme="light")
ZH_DARK = Look(language="zh", theme="dark")
EN = Look(language="en", theme="light")
EN_DARK = Look(language="en", theme="dark")
ZH_PHONE = Look(language="zh", theme="light", screen=PHONE)
EN_PHONE_DARK = Look(language="en", theme="dark", screen=PHONE)


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What there is to take pictures of."""

    site: Site
    browser: Browser
    job_id: str

    def classified(self) -> None:
        page = ClassifyPage(self.browser)
        page.open()
        page.tag("包裹三天没动了，客服也没人回", LABELS)
        page.scores()

    def upload(self) -> None:
        self.browser.open("/upload")

    def jobs(self) -> None:
        self.browser.open("/jobs")

    def job(self) -> None:
        self.browser.open(f"/jobs/{self.job_id}")

    def review(self) -> None:
        self.browser.open(f"/jobs/{self.job_id}/review")


#: Each picture by its name: how it is looked at, and how one gets there.
PICTURES: dict[str, tuple[Look, Callable[[Scene], None]]] = {
    "classify": (ZH, Scene.classified),
    "classify-phone": (EN_PHONE_DARK, Scene.classified),
    "upload": (EN, Scene.upload),
    "jobs": (EN_DARK, Scene.jobs),
    "job": (ZH, Scene.job),
    "job-phone": (ZH_PHONE, Scene.job),
    "review": (ZH_DARK, Scene.review),
}


def main() -> None:
    """Take them all."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    with _scene() as scene:
        for name, (look, arrive) in PICTURES.items():
            scene.browser.wear(look)
            arrive(scene)
            path = folder / f"{name}.png"
            path.write_bytes(_picture(scene.browser, _TALLEST_PX[look.screen]))
            _make_small(path)
            print(f"{path}  {path.stat().st_size / 1024:.0f} KiB")


@contextmanager
def _scene() -> Iterator[Scene]:
    """The service with the sample tickets, tagged."""
    with tempfile.TemporaryDirectory(prefix="yeban-screenshots-") as name:
        work = Path(name)
        work.chmod(0o711)
        artifacts.build(e5_build.NAME, work / "models")
        with running_site(work / "models") as site:
            job_id = site.ended_job(SAMPLES, LABELS.split(","), text_column="text", gold_column="label")
            browser = Browser(site.url, work)
            try:
                yield Scene(site=site, browser=browser, job_id=job_id)
            finally:
                browser.close()


def _picture(browser: Browser, tallest_px: int) -> bytes:
    """The whole page, or as much of it as is wanted, as PNG."""
    height = min(tallest_px, int(browser.run("return document.documentElement.scrollHeight")))
    clip = {"x": 0, "y": 0, "width": browser.look.screen.width, "height": height, "scale": 1}
    taken = browser.driver.execute_cdp_cmd("Page.captureScreenshot", {"clip": clip, "captureBeyondViewport": True})
    return base64.b64decode(taken["data"])


def _make_small(path: Path) -> None:
    for command in (["pngquant", "--force", "--ext", ".png", str(_COLOURS)], ["optipng", "-quiet", "-o4"]):
        if shutil.which(command[0]):
            subprocess.run([*command, str(path)], check=True)


if __name__ == "__main__":
    main()
