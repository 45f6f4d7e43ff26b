"""The write lock: which process has it, where the system tells.

Here: one look, for who waited in vain. Not here: the waiting (patience.py), the error (troubles.py).

It only reads what the system says of all locks. To ask for the lock itself would take a file of our
own on the log's index, and with its end all locks of this process on it would end (checkpoints.py).
"""

import os
from pathlib import Path

# Linux tells of every lock: number, kind, mode, access, process, device and inode, first and last byte.
_LOCKS = Path("/proc/locks")
_FIELDS = 8
# Of https://sqlite.org/walformat.html#the_wal_index_file_format: who writes has this byte of the index.
_WRITE_BYTE = 120


def writing_process(path: Path, locks: Path = _LOCKS) -> int | None:
    """The process that writes to the database at `path` now; None where none does, or none is told.

    A file system that is laid over another may tell another device than the locks do: then nobody
    is named, rather than a wrong one. So it is with a process that cannot be seen from here.
    """
    try:
        index = Path(f"{path}-shm").stat()
        lines = locks.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    place = f"{os.major(index.st_dev):02x}:{os.minor(index.st_dev):02x}:{index.st_ino}"
    for line in lines:
        fields = line.split()
        # Who waits for a lock has "->" for its second field, and one field more.
        if len(fields) != _FIELDS or fields[3] != "WRITE" or fields[5] != place:
            continue
        pid, first, last = int(fields[4]), int(fields[6]), fields[7]
        if pid > 0 and first <= _WRITE_BYTE and (last == "EOF" or int(last) >= _WRITE_BYTE):
            return pid
    return None
