"""Keeps the catalogues of the pages' languages: see scripts/translate."""

from __future__ import annotations

import datetime as dt
import io
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from web.i18n.locale import LANGUAGES

ROOT = Path(__file__).resolve().parent.parent
TRANSLATIONS = ROOT / "web" / "translations"
#: Languages with a catalogue; English is the language of the sources.
TRANSLATED = tuple(code for code in LANGUAGES if code != "en")

PACKAGES = ("web", "worker", "yeban")
#: Programs and their parts whose messages reach a terminal or a log, and no page.
FOR_OPERATORS = (
    "web/command.py",
    "web/auth/first_account.py",
    "web/auth/sessions.py",
    "web/server/gunicorn.py",
    "worker/command.py",
    "worker/app.py",
    "worker/broker.py",
    "worker/evaluation/",
    "worker/heartbeat.py",
    "worker/lifecycle.py",
    "worker/process_limits.py",
    "worker/monitoring.py",
    "yeban/runtime/",
    "yeban/maintenance/backup.py",
    "yeban/cli/",
    "yeban/client.py",
    "yeban/messaging/redis_url.py",
    "yeban/database/migrations.py",
    "yeban/settings.py",
    "yeban/telemetry/tracing.py",
    # What builds models, which only the command line does.
    "worker/engine/models/commands.py",
    "worker/engine/checkpoints/bert_config.py",
    "worker/engine/checkpoints/checkpoint.py",
    "worker/engine/checkpoints/hub.py",
    "worker/engine/nli/parity.py",
    "worker/engine/embedding/parity.py",
    "worker/engine/graphs/quantisation.py",
    "worker/engine/models/recipes.py",
    "worker/engine/sessions/trt_build.py",
    "worker/engine/checkpoints/weight_files.py",
)

_METHODS = [("**/templates/**.html", "jinja2"), ("**.py", "python")]
_KEYWORDS = {
    **DEFAULT_KEYWORDS,
    "msg": None,
    "lazy_gettext": None,
    "lazy_ngettext": (1, 2),
    "lazy_pgettext": ((1, "c"), 2),
}
# Headers that would change at each run, or say nothing.
_UNSTEADY = re.compile(
    r'^"(?:POT-Creation-Date|PO-Revision-Date|Generated-By|Last-Translator|Language-Team|Report-Msgid-Bugs-To): .*\n',
    re.MULTILINE,
)
_ALWAYS = dt.datetime(2026, 11, 26, tzinfo=dt.UTC)


def extracted() -> Catalog:
    """All that there is to translate, in the order of the sources."""
    catalogue = Catalog(project="Yeban", fuzzy=False)
    for package in PACKAGES:
        found = extract_from_dir(ROOT / package, _METHODS, keywords=_KEYWORDS, comment_tags=("Translators:",))
        for name, _line, message, comments, context in sorted(found, key=lambda one: (one[0], one[1])):
            if (source := f"{package}/{name}").startswith(FOR_OPERATORS):
                continue
            catalogue.add(message, None, [(source, 0)], auto_comments=comments, context=context)
    return catalogue


def path_of(code: str) -> Path:
    """Path of the catalogue that translators edit."""
    return TRANSLATIONS / code / "LC_MESSAGES" / "messages.po"


def read(code: str) -> Catalog:
    """Read a language's catalogue; a new one is empty."""
    path = path_of(code)
    if not path.exists():
        return Catalog(locale=code, project="Yeban", fuzzy=False)
    with path.open("rb") as file:
        return read_po(file, locale=code)


def updated(catalogue: Catalog) -> Catalog:
    """Update ``catalogue``: add new messages untranslated, remove unused ones."""
    # No fuzzy matching: a guess looks translated but is wrong.
    catalogue.update(extracted(), no_fuzzy_matching=True, update_header_comment=False, keep_user_comments=True)
    catalogue.obsolete.clear()
    catalogue.creation_date = catalogue.revision_date = _ALWAYS
    return catalogue


def written(catalogue: Catalog) -> bytes:
    """Write a catalogue without dates and line numbers, which would clutter diffs."""
    file = io.BytesIO()
    write_po(file, catalogue, width=120, include_lineno=False, include_previous=False, ignore_obsolete=True)
    return _UNSTEADY.sub("", file.getvalue().decode()).encode()


def compiled(catalogue: Catalog) -> bytes:
    """Compile a catalogue for the pages."""
    catalogue.creation_date = catalogue.revision_date = _ALWAYS
    file = io.BytesIO()
    write_mo(file, catalogue)
    return file.getvalue()


def missing(catalogue: Catalog) -> Iterator[str]:
    """Yield untranslated messages."""
    for message in catalogue:
        strings = message.string if isinstance(message.string, tuple | list) else (message.string,)
        if message.id and not all(strings):
            yield str(message.id)


def main() -> int:
    """Extract, update and compile; print untranslated messages."""
    untranslated = 0
    for code in TRANSLATED:
        catalogue = updated(read(code))
        path_of(code).parent.mkdir(parents=True, exist_ok=True)
        path_of(code).write_bytes(written(catalogue))
        path_of(code).with_suffix(".mo").write_bytes(compiled(catalogue))
        for message in missing(catalogue):
            untranslated += 1
            print(f"{code}: not translated: {message}")
    return 1 if untranslated else 0


if __name__ == "__main__":
    sys.exit(main())
