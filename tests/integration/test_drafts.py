from __future__ import annotations

import hashlib
import io
import random
import tracemalloc
import uuid

import pytest
from sqlalchemy import text

from tests.fixtures.interleaving import Interleaving
from yeban import drafts
from yeban.accounts.viewer import Viewer
from yeban.drafts import MAX_DRAFTS, PART_BYTES, delete_draft, delete_old_drafts, get_draft, open_draft, store_draft
from yeban.errors import Conflict, NotFound
from yeban.tabular import ReadOptions, open_table, write_table

MIB = 1 << 20
ANNE, BERT, CARL = Viewer(name="anne", team="night"), Viewer(name="bert", team="night"), Viewer(name="carl")


def keep(
    database,
    content: bytes = b"id,text\n1,a\n",
    *,
    name: str = "a.csv",
    viewer: Viewer = ANNE,
    most_bytes: int | None = None,
):
    return store_draft(
        database,
        io.BytesIO(content),
        name=name,
        sha256=hashlib.sha256(content).hexdigest(),
        size_bytes=len(content),
        viewer=viewer,
        most_bytes=most_bytes,
    )


def test_an_owner_has_so_many_drafts_and_no_more(database):
    kept = [keep(database) for _ in range(MAX_DRAFTS)]
    with pytest.raises(Conflict, match="Start or discard one first") as refused:
        keep(database)
    assert refused.value.context == {"limit": MAX_DRAFTS}
    assert counts(database) == (MAX_DRAFTS, MAX_DRAFTS)
    keep(database, viewer=BERT)  # of the same team, but an owner of their own
    assert delete_draft(database, kept[0].id, viewer=ANNE)
    keep(database)


@pytest.mark.parametrize("viewer", [ANNE, Viewer(name="")])
def test_an_owners_drafts_take_so_much_and_no_more(database, viewer):
    def keep_some(size_bytes: int):
        return keep(database, b"x" * size_bytes, viewer=viewer, most_bytes=3_000)

    first = keep_some(2_000)
    with pytest.raises(Conflict, match="take up too much space"):
        keep_some(1_001)
    keep_some(1_000)
    with pytest.raises(Conflict, match="take up too much space"):
        keep_some(1)
    assert counts(database) == (2, 2)
    delete_draft(database, first.id, viewer=viewer)
    keep_some(2_000)


@pytest.mark.parametrize("turns", [[0, 1] * 20, [0, 0, 0, 1, 1, 1] * 4, [1, 1, 1, 1, 0, 0, 0, 0]])
def test_two_at_once_do_not_both_find_the_last_place(database, turns):
    for _ in range(MAX_DRAFTS - 1):
        keep(database)
    with Interleaving(database) as interleaving:
        actors = interleaving.run([lambda: keep(database)] * 2, turns)
    assert sorted(type(actor.error) for actor in actors if actor.error) == [Conflict]
    assert counts(database)[0] == MAX_DRAFTS


def grow_old(database, draft, seconds: float) -> None:
    with database.begin() as connection:
        connection.execute(
            text("UPDATE draft SET created_at = now() - make_interval(secs => :age) WHERE id = :id"),
            {"age": seconds, "id": draft.internal_id},
        )


def counts(database) -> tuple[int, int]:
    with database.begin() as connection:
        return tuple(connection.execute(text("SELECT (SELECT count(*) FROM draft), count(*) FROM draft_part")).one())


def test_a_draft_is_read_as_it_was_written_from_any_place(database):
    content = random.Random(1).randbytes(2 * PART_BYTES + 12_345)
    draft = keep(database, content)
    assert counts(database) == (1, 3)
    shuffled = random.Random(2)
    with open_draft(database, get_draft(database, draft.id, viewer=ANNE)) as file:
        assert file.read() == content
        assert file.read(1) == b""
        assert file.seek(-10, io.SEEK_END) == len(content) - 10
        assert file.read() == content[-10:]
        for _ in range(50):
            start, size = shuffled.randrange(len(content)), shuffled.randrange(300_000)
            assert file.seek(start) == start
            assert file.read(size) == content[start : start + size]
        assert file.seek(len(content) + 5) == len(content) + 5
        assert file.read() == b""


def test_a_draft_of_exactly_one_part_and_an_empty_one(database):
    for content in (b"x" * PART_BYTES, b""):
        with open_draft(database, keep(database, content)) as file:
            assert file.read() == content


@pytest.mark.parametrize("kind", ["csv", "xlsx", "jsonl"])
def test_a_draft_is_read_as_a_table(database, kind):
    rows = [(str(number), f"第 {number} 条") for number in range(30_000)]
    content = b"".join(write_table(kind, ["id", "text"], rows))
    draft = keep(database, content, name=f"a.{kind}")
    with open_draft(database, draft) as file, open_table(file, draft.name, ReadOptions()) as table:
        assert [row.cells for row in table] == rows


def test_neither_keeping_nor_reading_holds_the_file_in_memory(database):
    size = 48 * MIB

    class Endless(io.RawIOBase):
        left = size

        def read(self, most: int = -1) -> bytes:
            most = min(most, self.left)
            self.left -= most
            return b"x" * most

    tracemalloc.start()
    try:
        draft = store_draft(database, Endless(), name="a", sha256="", size_bytes=size, viewer=ANNE)
        kept_peak = tracemalloc.get_traced_memory()[1]
        read = 0
        with open_draft(database, draft) as file:
            while block := file.read(1 << 18):
                read += len(block)
        read_peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert read == size
    assert kept_peak < 8 * MIB
    assert read_peak < 16 * MIB


def test_a_draft_is_its_owners_and_their_teams(database):
    draft = keep(database, viewer=ANNE)
    for viewer in (ANNE, BERT, Viewer(name="", sees_all=True)):
        assert get_draft(database, draft.id, viewer=viewer) == draft
    with pytest.raises(NotFound, match="Upload the file again"):
        get_draft(database, draft.id, viewer=CARL)
    assert not delete_draft(database, draft.id, viewer=CARL)
    assert delete_draft(database, draft.id, viewer=BERT)
    assert counts(database) == (0, 0)
    with pytest.raises(NotFound):
        get_draft(database, draft.id, viewer=ANNE)


def test_no_such_draft(database):
    with pytest.raises(NotFound):
        get_draft(database, uuid.uuid4(), viewer=ANNE)
    assert not delete_draft(database, uuid.uuid4(), viewer=ANNE)


def test_who_reads_a_draft_that_is_deleted_is_told(database):
    draft = keep(database, b"x" * 3 * PART_BYTES)
    with open_draft(database, draft) as file:
        assert file.read(10)
        delete_draft(database, draft.id, viewer=ANNE)
        with pytest.raises(NotFound):
            file.read()


def test_a_draft_lasts_a_day(database):
    old, young = keep(database), keep(database)
    grow_old(database, old, 86_401)
    grow_old(database, young, 86_300)
    with pytest.raises(NotFound):
        get_draft(database, old.id, viewer=ANNE)
    assert get_draft(database, young.id, viewer=ANNE).id == young.id
    assert delete_old_drafts(database) == 1
    assert delete_old_drafts(database) == 0
    assert counts(database) == (1, 1)


def test_old_drafts_are_deleted_a_few_parts_at_a_time(database, monkeypatch):
    monkeypatch.setattr(drafts, "_BATCH_PARTS", 2)
    monkeypatch.setattr(drafts, "PART_BYTES", 10)
    for size in (0, 15, 20, 50):
        grow_old(database, keep(database, b"x" * size), 90_000)
    assert counts(database) == (4, 9)
    asked = iter([True, True, False])
    delete_old_drafts(database, wanted=lambda: next(asked))
    assert counts(database)[1] < 9, "it goes on where it stopped"
    delete_old_drafts(database)
    assert counts(database) == (0, 0)


def test_a_file_that_breaks_off_leaves_nothing_behind(database):
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell():
                raise OSError("gone")
            return super().read(size)

    with pytest.raises(OSError, match="gone"):
        store_draft(database, Broken(b"x" * 3 * PART_BYTES), name="a", sha256="", size_bytes=3, viewer=ANNE)
    assert counts(database) == (0, 0)
