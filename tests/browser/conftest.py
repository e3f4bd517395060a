"""The whole service, seen in a real browser: ``yeban up`` with the bundled servers and the real model, once for
all of these tests.

Skipped where Chromium is absent, but not in CI.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.browser import Browser
from tests.browser.paths import CHROMEDRIVER, CHROMIUM
from tests.browser.site import Site, running_site, with_accounts

ADMIN_PASSWORD = "night shift 2026"

pytest.register_assert_rewrite("tests.browser.audit")


@pytest.fixture(scope="session")
def chromium() -> None:
    """Debian's Chromium and its driver are here."""
    missing = [str(path) for path in (CHROMIUM, CHROMEDRIVER) if not path.exists()]
    if missing:
        reason = f"{' and '.join(missing)} not installed (apt-get install chromium chromium-driver fonts-noto-cjk)"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)


@pytest.fixture(scope="package")
def site(chromium: None, model_dir: Path, fast_folder: Path | None) -> Iterator[Site]:
    """The service, in open mode, with the real model."""
    with running_site(model_dir, fast_folder) as running:
        yield running


@pytest.fixture(scope="package")
def shared_browser(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    yield from _browser(site, tmp_path_factory.mktemp("downloads"))


@pytest.fixture(scope="package")
def browser_without_scripts(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One that runs no scripts."""
    yield from _browser(site, tmp_path_factory.mktemp("downloads"), scripts=False)


@pytest.fixture
def browser(shared_browser: Browser) -> Browser:
    """A browser; a test begins with :meth:`Browser.wear`."""
    return shared_browser


@pytest.fixture(scope="package")
def site_with_accounts(site: Site) -> Iterator[Site]:
    """A second web server on the same database, where one signs in; see ``ADMIN_PASSWORD``."""
    with with_accounts(site, ADMIN_PASSWORD) as running:
        yield running


@pytest.fixture(scope="package")
def browser_with_accounts(site_with_accounts: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser on that one."""
    yield from _browser(site_with_accounts, tmp_path_factory.mktemp("downloads"))


def _browser(site: Site, downloads: Path, *, scripts: bool = True) -> Iterator[Browser]:
    started = Browser(site.url, downloads, scripts=scripts)
    yield started
    started.close()
