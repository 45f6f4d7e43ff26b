"""The page: what was held is there after a death, whole or not at all."""

import errno
import mmap
import os
import random
import signal
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stiggctl.holder.page import Page, PageRecord, read_page

from .sealing import another_process, seal, sealed

NAME, BOOT = "0123456789abcdef", "5f2d3c1e-0d7a-4c55-9c0f-1d2e3f405162"

#: Writes holds of all sizes and clears them, in two threads, until it is killed. Each amount is a
#: checksum of its record, so that a record that is not whole betrays itself.
SCRIBBLE = """
import random, sys, threading
from stiggctl.holder.page import Page
from tests.holder.sealing import sealed
page = Page.create(sys.argv[1], "0123456789abcdef", "a boot")
numbers = iter(range(1, 10**9))
def scribble(seed):
    rng, slots = random.Random(seed), []
    while True:
        if len(slots) > 200 or (slots and rng.random() < 0.48):
            page.clear(slots.pop(rng.randrange(len(slots))))
        else:
            slots.append(page.write(*sealed(next(numbers), rng)))
threads = [threading.Thread(target=scribble, args=(seed,), daemon=True) for seed in range(2)]
[thread.start() for thread in threads]
print("scribbling", flush=True)
threads[0].join()
"""


def assert_whole(records: list[PageRecord]) -> None:
    for record in records:
        assert record.amount_units == seal(*record[:3]), record


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / f"{NAME}.page"


@pytest.fixture
def page(path: Path):
    page = Page.create(path, NAME, BOOT)
    yield page
    page.close()


def records(path: Path) -> list[PageRecord]:
    contents = read_page(path)
    assert contents is not None
    return contents.records


# ------------------------------------------------------------------ what is written is read


def test_a_page_says_whose_it_is_and_what_is_held(page: Page, path: Path) -> None:
    page.write(1_000, 7, (1, 2, 3, 4), 75)
    page.write(2_000, 8, (), 5)
    contents = read_page(path)
    assert contents is not None
    assert (contents.holder_name, contents.boot_id) == (NAME, BOOT)
    assert sorted(contents.records) == [(1_000, 7, (1, 2, 3, 4), 75), (2_000, 8, (), 5)]


def test_what_is_cleared_is_held_no_more_and_its_slot_is_used_again(page: Page, path: Path) -> None:
    slot = page.write(1_000, 7, (1, 2, 3, 4), 75)
    page.clear(slot)
    assert records(path) == []
    assert page.write(2_000, 8, (5,), 10) == slot
    assert records(path) == [(2_000, 8, (5,), 10)]


def test_amount_and_end_of_a_hold_change_where_it_stands(page: Page, path: Path) -> None:
    slot = page.write(1_000, 7, tuple(range(1, 6)), 75)
    page.rewrite_amount(slot, 125)
    page.rewrite_until(slot, 9_000)
    assert records(path) == [(9_000, 7, (1, 2, 3, 4, 5), 125)]


def test_a_hold_of_nothing_is_no_record_until_it_is_of_something(page: Page, path: Path) -> None:
    slot = page.write(1_000, 7, (1,), 0)
    assert records(path) == []
    page.rewrite_amount(slot, 5)
    assert records(path) == [(1_000, 7, (1,), 5)]


@pytest.mark.parametrize("count", [0, 1, 4, 5, 12, 13, 60, 61, 5_000, 20_000])
def test_a_path_of_any_length_fits(page: Page, path: Path, count: int) -> None:
    cells = tuple(range(1, count + 1))
    held = [(10**15, number, cells, 2**63 - 1) for number in range(3)]
    slots = [page.write(*record) for record in held]
    assert sorted(records(path)) == held
    page.clear(slots[1])
    assert sorted(records(path)) == [held[0], held[2]]


HOLD = st.tuples(
    st.integers(0, 2**62),
    st.integers(1, 2**62),
    st.lists(st.integers(1, 2**62), max_size=20).map(tuple),
    st.integers(1, 2**62),
)


@given(st.lists(HOLD | st.integers(0, 30), max_size=60))
def test_a_page_is_the_holds_that_were_written_and_not_cleared(tmp_path_factory, steps) -> None:
    """Against a dict. A hold is written; a number clears the hold that stands there in the dict."""
    path = tmp_path_factory.mktemp("page") / "page"
    page = Page.create(path, NAME, BOOT)
    held: dict[int, tuple] = {}
    for step in steps:
        if isinstance(step, tuple):
            slot = page.write(*step)
            assert slot not in held
            held[slot] = step
        elif held:
            slot = list(held)[step % len(held)]
            del held[slot]
            page.clear(slot)
    assert sorted(records(path)) == sorted(held.values())
    page.close()
    assert sorted(records(path)) == sorted(held.values())


def test_a_page_grows_under_holds_that_stay_where_they_are(page: Page, path: Path) -> None:
    slots = {page.write(1_000, number, (number, 2, 3), number): number for number in range(1, 5_001)}
    assert len(slots) == 5_000
    assert sorted(record.reservation for record in records(path)) == list(range(1, 5_001))
    for slot, number in slots.items():
        if number % 2:
            page.rewrite_amount(slot, 10**6)
        else:
            page.clear(slot)
    assert {(record.reservation, record.amount_units) for record in records(path)} == {
        (number, 10**6) for number in range(1, 5_001, 2)
    }


def test_threads_share_a_page_and_no_slot(page: Page, path: Path) -> None:
    """PG2, while the page grows under them."""
    kept: list[list[tuple]] = [[] for _ in range(8)]
    slots: list[int] = []
    barrier = threading.Barrier(8)

    def hold(me: int) -> None:
        rng = random.Random(me)
        barrier.wait()
        for number in range(1_500):
            record = sealed(me * 10**6 + number, rng)
            slot = page.write(*record)
            if number % 3:
                page.clear(slot)
            else:
                kept[me].append(record)
                slots.append(slot)

    threads = [threading.Thread(target=hold, args=(me,)) for me in range(8)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert len(set(slots)) == len(slots) == 8 * 500
    assert sorted(records(path)) == sorted(record for each in kept for record in each)


def test_nothing_is_written_to_a_page_that_is_closed(page: Page, path: Path) -> None:
    page.write(1_000, 7, (1,), 5)
    page.close()
    page.close()
    with pytest.raises(ValueError, match="closed"):
        page.write(1_000, 8, (1,), 5)
    assert records(path) == [(1_000, 7, (1,), 5)]
    page.remove()
    page.remove()
    assert read_page(path) is None


def test_a_page_has_one_process(page: Page, path: Path) -> None:
    with pytest.raises(FileExistsError):
        Page.create(path, NAME, BOOT)


# ------------------------------------------------------------------ death


@pytest.mark.parametrize("before", [0, 1, 3, 4])
@pytest.mark.parametrize("after", [0, 1, 3, 4])
def test_a_record_is_absent_until_its_last_word_is_written(
    page: Page, path: Path, before: int, after: int
) -> None:
    """PG1, at every word: the first words of a new record over what a cleared one left."""
    slot = page.write(10**15, 999, tuple(range(101, 101 + before)), 50)
    whole = path.read_bytes()
    start = 65_536 + (slot & 0xFFFFFFFF)
    page.clear(slot)
    cleared = path.read_bytes()
    assert cleared != whole
    assert page.write(2 * 10**15, 1_000, tuple(range(201, 201 + after)), 60) == slot
    written = path.read_bytes()
    for words in range(9):
        torn = start + 8 * words
        path.write_bytes(written[:torn] + cleared[torn:])
        assert [record.reservation for record in records(path)] == ([] if words < 8 else [1_000])


@pytest.mark.parametrize("run", range(12))
def test_a_page_has_only_whole_records_after_kill_9_in_the_middle_of_writing(path: Path, run: int) -> None:
    """PG1, by a process that is killed at a random moment."""
    with another_process(SCRIBBLE, path) as (scribbler, said):
        assert said == "scribbling"
        time.sleep(random.uniform(0.005, 0.06))
        scribbler.send_signal(signal.SIGKILL)
        scribbler.wait()
    found = records(path)
    assert found  # how many depends on the machine
    assert_whole(found)
    assert len({record.reservation for record in found}) == len(found)


def test_a_page_that_is_being_written_shows_only_whole_records(path: Path) -> None:
    with another_process(SCRIBBLE, path) as (_, said):
        assert said == "scribbling"
        looks = [records(path) for _ in range(150)]
    assert any(looks)
    for look in looks:
        assert_whole(look)


def test_a_mixture_of_two_records_is_none(page: Page, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A look that began before a slot changed hands, and ended after."""
    slot = page.write(1_000, 7, (1, 2, 3, 4), 75)
    old = path.read_bytes()
    page.clear(slot)
    page.write(2_000, 8, (5, 6, 7, 8), 99)
    new = path.read_bytes()
    amount_at = 65_536 + (slot & 0xFFFFFFFF) + 7 * 8
    looks = [old[:amount_at] + new[amount_at:], new]
    monkeypatch.setattr(Path, "read_bytes", lambda _: looks.pop(0))
    assert records(path) == []


def test_a_hold_that_changes_between_two_looks_is_not_lost(
    page: Page, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slot = page.write(1_000, 7, (1, 2, 3, 4), 75)
    looks = [path.read_bytes()]
    page.rewrite_amount(slot, 125)
    page.rewrite_until(slot, 9_000)
    looks.append(path.read_bytes())
    monkeypatch.setattr(Path, "read_bytes", lambda _: looks.pop(0))
    assert records(path) == [(1_000, 7, (1, 2, 3, 4), 75)]


def test_a_child_that_abandons_a_page_leaves_it_to_its_parent(page: Page, path: Path) -> None:
    slot = page.write(1_000, 7, (1,), 5)
    page._growing.acquire()  # as if another thread were growing it while this one forks
    child = os.fork()
    if child == 0:
        signal.alarm(10)  # a child that waits for that thread ends, as a failure
        try:
            page.abandon_in_child()
            page.write(1_000, 8, (1,), 5)
        except ValueError:
            os._exit(0)
        os._exit(1)
    page._growing.release()
    assert os.waitpid(child, 0)[1] == 0
    page.rewrite_amount(slot, 6)
    assert records(path) == [(1_000, 7, (1,), 6)]


# ------------------------------------------------------------------ a full disk


def fill_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(*_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", no_room)


def test_a_page_that_cannot_grow_says_so_and_keeps_what_it_has(
    page: Page, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PG3."""
    slots = [page.write(1_000, number, (1,), 1) for number in range(1_023)]
    size = path.stat().st_size
    with monkeypatch.context() as patched:
        fill_disk(patched)
        for cells in [(1,), tuple(range(9)), (1, 2)]:  # of a size that is known, and of new ones
            with pytest.raises(OSError, match="No space left"):
                page.write(1_000, 2_000, cells, 1)
        assert path.stat().st_size == size
        assert len(records(path)) == 1_023
        page.clear(slots[5])
        page.write(1_000, 3_000, (1,), 1)  # what is free can be used
    page.write(1_000, 4_000, tuple(range(9)), 1)
    page.write(1_000, 5_000, (1, 2), 1)
    assert len(records(path)) == 1_025


def test_room_that_was_taken_and_cannot_be_mapped_is_given_back(
    page: Page, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_memory(*_: object, **__: object) -> None:
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))

    size = path.stat().st_size
    with monkeypatch.context() as patched:
        patched.setattr(mmap, "mmap", no_memory)
        with pytest.raises(OSError, match="Cannot allocate memory"):
            page.write(1_000, 1, tuple(range(9)), 1)
    assert path.stat().st_size == size
    page.write(1_000, 2, tuple(range(9)), 1)
    assert len(records(path)) == 1


def test_a_page_that_cannot_be_made_is_not_there(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill_disk(monkeypatch)
    with pytest.raises(OSError, match="No space left"):
        Page.create(path, NAME, BOOT)
    assert not path.exists()


def test_a_limit_on_the_size_of_files_is_an_error_and_kills_nobody(path: Path) -> None:
    code = """
import resource, sys
from stiggctl.holder.page import Page, read_page
page = Page.create(sys.argv[1], "a", "b")
resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))
try:
    for number in range(3_000):
        page.write(1_000, number, (1,), 1)
except OSError as error:
    print(error.errno, number, len(read_page(sys.argv[1]).records))
"""
    with another_process(code, path) as (_, said):
        assert said == f"{errno.EFBIG} 1023 1023"


@pytest.mark.parametrize("refused", [None, errno.EOPNOTSUPP, "missing"])
def test_room_is_taken_before_it_is_used(
    path: Path, monkeypatch: pytest.MonkeyPatch, refused: int | str | None
) -> None:
    """PG3: with posix_fallocate; where the file system has none; where the system has none."""
    if refused == "missing":
        monkeypatch.delattr(os, "posix_fallocate")
    elif refused:

        def no_fallocate(*_: int) -> None:
            raise OSError(refused, "not here")

        monkeypatch.setattr(os, "posix_fallocate", no_fallocate)
    page = Page.create(path, NAME, BOOT)
    page.write(1_000, 1, tuple(range(30)), 1)
    status = path.stat()
    assert status.st_blocks * 512 >= status.st_size - 65_536 == 65_536 + 131_072
    assert len(records(path)) == 1
    page.close()


# ------------------------------------------------------------------ what is no page


def test_no_page_has_no_contents(tmp_path: Path) -> None:
    assert read_page(tmp_path / "nothing") is None


def test_a_page_that_is_there_and_cannot_be_read_is_not_taken_for_none(tmp_path: Path) -> None:
    """PG4."""
    with pytest.raises(OSError, match="directory"):
        read_page(tmp_path)


@given(st.binary(max_size=400))
def test_garbage_is_no_page(tmp_path_factory, garbage: bytes) -> None:
    path = tmp_path_factory.mktemp("garbage") / "page"
    path.write_bytes(garbage)
    assert read_page(path) is None


def test_a_torn_header_is_no_page(page: Page, path: Path) -> None:
    page.write(1_000, 7, (1,), 5)
    whole = path.read_bytes()
    for at in range(140):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x40]) + whole[at + 1 :])
        assert read_page(path) is None
    for length in range(140):
        path.write_bytes(whole[:length])
        assert read_page(path) is None


@pytest.mark.parametrize("count", [-(2**63), -1, 5, 2**62])
def test_a_record_that_counts_more_cells_than_it_can_have_is_none(page: Page, path: Path, count: int) -> None:
    page.write(2_000, 8, (1, 2, 3, 4), 99)
    slot = page.write(1_000, 7, (1, 2, 3, 4), 75)
    contents = bytearray(path.read_bytes())
    at = 65_536 + (slot & 0xFFFFFFFF) + 2 * 8
    contents[at : at + 8] = count.to_bytes(8, sys.byteorder, signed=True)
    path.write_bytes(contents)
    assert [record.reservation for record in records(path)] == [8]


@given(
    st.lists(st.tuples(st.integers(8_192, 8_400), st.integers(-(2**63), 2**63 - 1)), max_size=40),
    st.integers(140, 65_536 * 2),
)
def test_whatever_stands_behind_the_header_reading_does_not_raise(tmp_path_factory, words, length) -> None:
    """PG4: words of the first chunk's header and slots overwritten, the file cut anywhere."""
    path = tmp_path_factory.mktemp("torn") / "page"
    page = Page.create(path, NAME, BOOT)
    page.write(1_000, 7, (1,), 5)
    page.close()
    contents = bytearray(path.read_bytes())
    for word, value in words:
        contents[word * 8 : word * 8 + 8] = value.to_bytes(8, sys.byteorder, signed=True)
    path.write_bytes(contents[:length])
    before = path.read_bytes()
    assert read_page(path) is not None
    assert path.read_bytes() == before


# ------------------------------------------------------------------ what a process tells of itself


def told(path: Path) -> bytes:
    contents = read_page(path)
    assert contents is not None
    return contents.told


def test_what_is_told_stands_beside_what_is_held(page: Page, path: Path) -> None:
    assert told(path) == b""
    page.write(1_000, 7, (1,), 5)
    page.tell(b"something long")
    page.tell(b"short")
    assert told(path) == b"short"
    assert records(path) == [(1_000, 7, (1,), 5)]
    page.tell(b"x" * 760)
    assert told(path) == b"x" * 760
    page.tell(b"x" * 761)  # no room for it: then nothing is told, and nothing else is overwritten
    assert told(path) == b""
    assert records(path) == [(1_000, 7, (1,), 5)]
    page.tell(b"last")
    page.close()
    page.tell(b"too late")
    assert told(path) == b"last"


def test_what_is_told_is_whole_or_absent(page: Page, path: Path) -> None:
    """PG5: cut anywhere, and with any bit of it another; the rest of the page is as it was."""
    page.write(1_000, 7, (1,), 5)
    page.tell(b"whole")
    whole = path.read_bytes()
    for at in range(256, 256 + 8 + 5):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x04]) + whole[at + 1 :])
        assert told(path) == b""
        assert records(path) == [(1_000, 7, (1,), 5)]
        path.write_bytes(whole[:at])
        assert told(path) == b""
    path.write_bytes(whole)
    assert told(path) == b"whole"


def test_what_is_told_takes_no_room_that_the_page_does_not_have(page: Page, path: Path) -> None:
    """PG5: it lies in the block that the header is in."""
    blocks = path.stat().st_blocks
    page.tell(b"x" * 760)
    assert path.stat().st_blocks == blocks
