"""A page: what one process holds, mirrored where its death cannot reach it.

Here: the page's file, how a hold is written to it and cleared from it, and how a page is read.
Not here: whose page may be believed, and what becomes of a dead process's holds (liveness.py).

A page is a small file that one process maps. Memory that is mapped from a file belongs to the
system, not to the process: what was stored before SIGKILL is there afterwards.

    file    a header: magic, checksum, the holder's name, the boot of the machine; then what the
            process tells of itself: length, checksum, text; then chunks
    chunk   a header of 8 words: words a slot, words in all; then slots
    slot    8, 16, 32 … words: until, reservation, n, cell × n, zeros, amount

A word is an int of 64 bits as the machine has it: a page outlives its process, never its boot. The
amount stands in the slot's last word, not right behind the cells: so its place does not depend on
`n`, and whatever a slot held before, a half-written record cannot be taken for a whole one.

What always holds:
  PG1  The amount is written last and zeroed first, so a record is whole or absent.
  PG2  A slot has one owner, from `write` to `clear`: nothing is shared, and no lock is taken.
  PG3  A chunk's room on the disk is taken before it is mapped; a store into a file with holes would
       end the host's process (SIGBUS) where the disk is full. If there is no room, nothing changed.
  PG4  Reading changes nothing, and never raises for what it finds. That the file is there and
       cannot be read is no finding: it is raised, or holds would be taken for none.
  PG5  What the process tells of itself is whole or absent. It is written, not stored: it lies in a block
       that the header has taken, and where there is no room after all that is an error, no SIGBUS.
"""

import errno
import mmap
import os
import struct
import threading
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from stiggctl.locks import await_turn

_MAGIC = b"stiggpg1"  # another layout gets another number, and is not read by this one
_HEADER = struct.Struct("<8sI64s64s")  # magic, checksum of what follows, holder name, boot id
_NAME_BYTES = 64
# What is told stands where pages of before it have zeros, which is nothing told; and well within the first
# kilobyte, the smallest block of the usual file systems, which the header is in.
_TOLD_AT, _TOLD_BYTES_MAX = 256, 1_024 - 256
_TOLD = struct.Struct("<II")  # how long it is, its checksum
# Chunks are mapped, and a map starts at a multiple of the system's granularity; 64 KiB is the
# largest there is (some ARM). The header is alone in the first 64 KiB: mostly a hole, not room.
_FIRST_CHUNK = 65_536

_WORD = 8
_CHUNK_HEADER_WORDS = 8  # keeps slots at multiples of 64 bytes, so that a small one is one cache line
_SLOT_WORDS_MIN = 8  # a path of up to 4 cells, which most are; half of it would hold none
_RECORD_WORDS = 4  # what a record has beside its cells
# 1,023 small slots. Each map keeps a descriptor, so each chunk is twice the one before: a million
# open holds are 20 maps and not a thousand. At 4 MiB taking the room lasts a few milliseconds.
_CHUNK_WORDS_MIN = 8_192
_CHUNK_WORDS_MAX = 524_288

# A slot is named by one int: its chunk in the upper 32 bits, in the lower the byte in that chunk
# where it starts. The two numbers are written out below: names for them cost time at each hold.

#: What a file system says that has no posix_fallocate.
_NO_FALLOCATE = {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP}


class PageRecord(NamedTuple):
    """One hold: `amount_units` in each of `cells`, until then at most."""

    until_us: int
    reservation: int
    cells: tuple[int, ...]
    amount_units: int


class PageContents(NamedTuple):
    """What a page says: whose it is, of which boot, the holds in it, and what its process tells."""

    holder_name: str
    boot_id: str
    records: list[PageRecord]
    told: bytes = b""


# Stands for a number of cells that is not known yet: none free.
_NONE_FREE = (list[int]().pop, struct.Struct("").pack_into)


class Page:
    """This process's page. Written by many threads, each in slots of its own.

    `write` before a caller is told that it holds something, outside any other lock: now and then
    it makes the file grow. `clear` after the ledger has what became of the hold, and once.

    After a fork the page is the parent's: the child abandons it, and writes nothing.
    """

    __slots__ = ("_amounts", "_file", "_free", "_growing", "_maps", "_of_cells", "_size", "_words", "path")

    def __init__(self, path: Path, file: int) -> None:
        self.path = path
        self._file = file
        self._size = _FIRST_CHUNK  # this and all below: changed under _growing
        self._growing = threading.Lock()
        # By words a slot: the free ones. But for these lists: pop() and append() are one step each.
        self._free: dict[int, list[int]] = {}
        # By number of cells: takes a free slot, writes a record. What is not known yet has none free.
        self._of_cells: list[tuple[Callable[[], int], Callable[..., None]]] = []
        # By chunk; all three are appended to before the chunk's slots are free. The amounts are the
        # same words, seen from the first slot's last one on, with what takes a slot back.
        self._words: list[memoryview] = []
        self._amounts: list[tuple[memoryview, Callable[[int], None]]] = []
        self._maps: list[mmap.mmap] = []

    @classmethod
    def create(cls, path: str | os.PathLike[str], holder_name: str, boot_id: str) -> "Page":
        """Make the file, with room for a thousand holds. Raises OSError, and then there is no file."""
        names = holder_name.encode(), boot_id.encode()
        assert all(len(name) <= _NAME_BYTES for name in names)
        # Whoever may use the ledger may bury this process: the mode is left to the umask.
        file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666)
        page = cls(Path(path), file)
        try:
            head = _HEADER.pack(_MAGIC, 0, *names)
            _write(file, _HEADER.pack(_MAGIC, zlib.crc32(head), *names))
            page.clear(page._grow(4))
        except BaseException:
            page.close()
            page.remove()
            raise
        return page

    def write(self, until_us: int, reservation: int, cells: tuple[int, ...], amount_units: int) -> int:
        """Write a hold; returns its slot. Raises OSError, having changed nothing, if there is no room."""
        try:
            take, put = self._of_cells[len(cells)]
            # Two threads cannot be given one slot: list.pop is one step. From here on it is ours.
            slot = take()
        except IndexError:
            slot = self._grow(len(cells))
            put = self._of_cells[len(cells)][1]
        # One call, and the amount is its last store. It begins by clearing the record, so whatever
        # is found after a kill in the middle has amount 0, as it had since the slot was cleared.
        words = self._words[slot >> 32]
        put(words, slot & 0xFFFFFFFF, until_us, reservation, len(cells), *cells, amount_units)
        return slot

    def clear(self, slot: int) -> None:
        """The hold has fallen. Its slot may be another's as soon as this returns.

        Once the page is closed there is nothing to clear: its process has left, with what it held.
        """
        if slot >> 32 >= len(self._amounts):
            return
        amounts, give = self._amounts[slot >> 32]
        amounts[(slot & 0xFFFFFFFF) >> 3] = 0
        give(slot)  # after the zero: the next owner finds the record absent

    def rewrite_amount(self, slot: int, amount_units: int) -> None:
        """The hold is of so much now. One store: before it the old amount stands, after it the new."""
        self._amounts[slot >> 32][0][(slot & 0xFFFFFFFF) >> 3] = amount_units

    def rewrite_until(self, slot: int, until_us: int) -> None:
        """The hold lasts until then. One store, as above."""
        self._words[slot >> 32][(slot & 0xFFFFFFFF) >> 3] = until_us

    def tell(self, text: bytes) -> None:
        """Tell something of this process, in the place of what it told before. Raises OSError.

        What is too long is not told: then nothing is.
        """
        said = _TOLD.pack(len(text), zlib.crc32(text)) + text
        if len(said) > _TOLD_BYTES_MAX:
            said = _TOLD.pack(0, 0)
        await_turn(self._growing, self)
        with self._growing:  # or the file may be closed meanwhile, and its number be another file's
            if self._file >= 0 and os.pwrite(self._file, said, _TOLD_AT) < len(said):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def close(self) -> None:
        """Let go of the file, which stays. Nothing may be written any more. Safe twice."""
        with self._growing:
            self._of_cells = []
            for amounts, _ in self._amounts:
                amounts.release()
            for words, mapped in zip(self._words, self._maps, strict=True):
                words.release()
                mapped.close()
            self._words, self._amounts, self._maps = [], [], []
            if self._file >= 0:
                os.close(self._file)
                self._file = -1

    def abandon_in_child(self) -> None:
        """In a forked child: close. The thread that may have been growing the file is not here."""
        self._growing = threading.Lock()
        self.close()

    def remove(self) -> None:
        """Take the file away, if it is there."""
        self.path.unlink(missing_ok=True)

    def _grow(self, cells: int) -> int:
        """A slot for so many cells; from a new chunk, unless another thread made one meanwhile."""
        await_turn(self._growing, self)
        with self._growing:
            if self._file < 0:
                raise ValueError("the page is closed")
            slot_words = max(_SLOT_WORDS_MIN, 1 << (cells + _RECORD_WORDS - 1).bit_length())
            free = self._free.setdefault(slot_words, [])
            zeros = slot_words - _RECORD_WORDS - cells
            record = struct.Struct(f"{3 + cells}q{zeros * _WORD}xq")
            assert record.size == slot_words * _WORD
            known = [*self._of_cells, *[_NONE_FREE] * (cells + 1 - len(self._of_cells))]
            known[cells] = (free.pop, record.pack_into)
            try:
                slot = free.pop()
            except IndexError:
                slot, *others = self._new_chunk(slot_words, free)
                free.extend(reversed(others))  # low places are taken first
            self._of_cells = known  # whole, for who reads it now without the lock
            return slot

    def _new_chunk(self, slot_words: int, free: list[int]) -> range:
        """Take room, map it, and only then say what it is; returns its slots."""
        chunk = len(self._maps)
        words = max(min(_CHUNK_WORDS_MIN << chunk, _CHUNK_WORDS_MAX), 2 * slot_words)
        start, length = self._size, words * _WORD
        try:
            _take_room(self._file, start, length)
            mapped = mmap.mmap(self._file, length, offset=start)
        except OSError:
            os.ftruncate(self._file, start)
            raise
        self._size = start + length
        view = memoryview(mapped).cast("q")
        view[1] = words
        view[0] = slot_words  # last: a reader stops at a chunk without it
        self._maps.append(mapped)
        self._words.append(view)
        self._amounts.append((view[slot_words - 1 :], free.append))
        first = (chunk << 32) + _CHUNK_HEADER_WORDS * _WORD
        count = (words - _CHUNK_HEADER_WORDS) // slot_words
        return range(first, first + count * slot_words * _WORD, slot_words * _WORD)


def _take_room(file: int, start: int, length: int) -> None:
    """Make the file longer, with room on the disk for all of it."""
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(file, start, length)
        except OSError as error:
            if error.errno not in _NO_FALLOCATE:
                raise
        else:
            return
    os.lseek(file, start, os.SEEK_SET)
    zeros = bytes(_FIRST_CHUNK)
    for _ in range(0, length, len(zeros)):  # a chunk is a multiple of 64 KiB
        _write(file, zeros)


def _write(file: int, data: bytes) -> None:
    if os.write(file, data) < len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


# ------------------------------------------------------------------ reading


def read_page(path: str | os.PathLike[str]) -> PageContents | None:
    """The holds on a page; None where there is no page, or none of this layout.

    Its writer may be alive and writing. So there are two looks, and a record of the first counts
    if the second finds the same reservation and cells there: reservations are numbered once, so
    nothing else was in that slot meanwhile. What is left out was absent for a moment.

    Raises OSError where the page is there and cannot be read.
    """
    try:
        first, second = Path(path).read_bytes(), Path(path).read_bytes()
    except FileNotFoundError:
        return None
    names = _read_header(first)
    if names is None:
        return None
    told = _read_told(first) or _read_told(second)  # one of them may be half of what is being written
    return PageContents(*names, [*_records_of(_words_of(first), _words_of(second))], told)


def _read_header(page: bytes) -> tuple[str, str] | None:
    if len(page) < _HEADER.size:
        return None
    magic, checksum, name, boot = _HEADER.unpack_from(page)
    if magic != _MAGIC or zlib.crc32(_HEADER.pack(magic, 0, name, boot)) != checksum:
        return None
    return name.rstrip(b"\0").decode(errors="replace"), boot.rstrip(b"\0").decode(errors="replace")


def _read_told(page: bytes) -> bytes:
    if len(page) < _TOLD_AT + _TOLD.size:
        return b""
    length, checksum = _TOLD.unpack_from(page, _TOLD_AT)
    start = _TOLD_AT + _TOLD.size
    text = page[start : start + min(length, _TOLD_BYTES_MAX)]
    return text if zlib.crc32(text) == checksum else b""


def _words_of(page: bytes) -> memoryview:
    return memoryview(page[: len(page) // _WORD * _WORD]).cast("q")


def _records_of(words: memoryview, again: memoryview) -> Iterator[PageRecord]:
    for start, slot_words, chunk_words in _chunks_of(words):
        first, end = start + _CHUNK_HEADER_WORDS, min(start + chunk_words, len(words))
        amounts = words[first + slot_words - 1 : end : slot_words].tolist()
        for at, amount in zip(range(first, end, slot_words), amounts, strict=False):
            count = words[at + 2]
            # Most slots are free, so the amount is looked at first; a count out of range is garbage.
            if amount > 0 and 0 <= count <= slot_words - _RECORD_WORDS:
                behind = at + 3 + count
                if words[at + 1 : behind] == again[at + 1 : behind]:
                    cells = tuple(words[at + 3 : behind].tolist())
                    yield PageRecord(words[at], words[at + 1], cells, amount)


def _chunks_of(words: memoryview) -> Iterator[tuple[int, int, int]]:
    """(first word, words a slot, words in all) of each chunk, up to the first that is none."""
    start = _FIRST_CHUNK // _WORD
    while start + _CHUNK_HEADER_WORDS <= len(words):
        slot_words, chunk_words = words[start], words[start + 1]
        # A chunk is longer than its header, so this ends, whatever stands in the file.
        if slot_words < _SLOT_WORDS_MIN or chunk_words < _CHUNK_WORDS_MIN:
            return
        yield start, slot_words, chunk_words
        start += chunk_words
