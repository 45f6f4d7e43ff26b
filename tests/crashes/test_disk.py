"""A full disk: the named error, nothing half-booked, nothing accepted and lost; and it works again."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stiggctl import UsageControl

from .filler import fill, model

ROOT = Path(__file__).parents[2]


@contextlib.contextmanager
def small_disk(place: Path, kilobytes: int) -> Iterator[Path]:
    """A file system of that size, where this system lets us mount one."""
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(place)]
    try:
        done = subprocess.run(mount, capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount here")
    if done.returncode:
        pytest.skip("only root may mount a small disk")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


@pytest.mark.platform
@pytest.mark.parametrize("durability", ["process", "power"])
def test_on_a_full_disk_nothing_is_lost_and_nothing_half_booked(tmp_path: Path, durability: str) -> None:
    with small_disk(tmp_path / "disk", 3_000) as disk:
        with UsageControl(disk / "usage.db", durability=durability) as control:
            control.apply(model())
            ballast = disk / "ballast"
            ballast.write_bytes(bytes(2_000_000))
            fill(control, ballast.unlink)
        with UsageControl(disk / "usage.db") as control:
            assert control.verify() == []


@pytest.mark.platform
@pytest.mark.skipif(sys.platform == "win32", reason="the system does not limit how large files grow")
def test_where_files_may_not_grow_nothing_is_lost_and_nothing_half_booked(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.crashes.filler", str(tmp_path / "usage.db")],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("all of it held\n")


@pytest.mark.platform
def test_a_ledger_cannot_be_made_on_a_full_disk_and_can_once_there_is_room(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 340) as disk:
        ballast = disk / "ballast"
        ballast.write_bytes(bytes(330 * 1024))
        with pytest.raises(Exception, match=r"room|disk"), UsageControl(disk / "usage.db") as control:
            control.apply(model())
        ballast.unlink()
        with UsageControl(disk / "usage.db") as control:
            control.apply(model())
            assert control.consume(resource_ids=["a"], credit_currency="t", amount=1).charged == 1
