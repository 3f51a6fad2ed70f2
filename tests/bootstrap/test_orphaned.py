"""What one process of several does once its parent is gone: nothing that it says to nobody is an error."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from postback.bootstrap.seat import Answers, Seat
from postback.bootstrap.siblings import Siblings

pytestmark = pytest.mark.anyio

NOBODY = 0
"""No process's parent."""


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """One end to read from, which is closed, and one to write to."""
    reads, writes = os.pipe()
    os.close(reads)
    yield reads, writes
    os.close(writes)


def a_seat(folder: Path, reports: int, parent: int) -> Seat:
    return Seat(
        number=2,
        count=2,
        is_first=False,
        orders=reports,
        reports=reports,
        parent=parent,
        folder=folder,
        log_lock=reports,
        door=None,
    )


def test_a_report_that_nobody_reads_is_no_error(tmp_path: Path, pipe: tuple[int, int]) -> None:
    """It was a BrokenPipeError that cancelled the engine: nothing was brought to a good end."""
    a_seat(tmp_path, pipe[1], NOBODY).report(Answers(None))


async def test_the_folder_may_have_gone_with_the_parent(tmp_path: Path, pipe: tuple[int, int]) -> None:
    """It was a FileNotFoundError with its traceback, where the others had ended while this process started."""
    gone = tmp_path / "gone"

    async with Siblings(a_seat(gone, pipe[1], NOBODY), bytes).answered():
        assert not gone.exists()


async def test_a_folder_that_is_missing_beside_a_living_parent_is_an_error(
    tmp_path: Path, pipe: tuple[int, int]
) -> None:
    siblings = Siblings(a_seat(tmp_path / "never", pipe[1], os.getppid()), bytes)

    with pytest.raises(FileNotFoundError):
        async with siblings.answered():
            pass


async def test_whoever_is_last_takes_the_folder_away(tmp_path: Path, pipe: tuple[int, int]) -> None:
    (folder := tmp_path / "ours").mkdir()
    (other := folder / "1").touch()
    seat = a_seat(folder, pipe[1], NOBODY)

    async with Siblings(seat, bytes).answered():
        pass
    assert folder.exists()
    other.unlink()
    seat.leave()

    assert not folder.exists()


def test_it_is_without_a_parent_as_soon_as_nobody_can_give_it_orders(tmp_path: Path) -> None:
    """The pipe's end came first, the other parent a moment later: the folder stayed behind."""
    reads, writes = os.pipe()
    seat = a_seat(tmp_path, reads, os.getppid())

    before = seat.is_orphaned
    os.write(writes, b"s")
    os.close(writes)
    after = seat.is_orphaned
    os.close(reads)

    assert (before, after) == (False, True)
