"""How releases look in a terminal."""

import io
from typing import Any

from rich.console import Console, RenderableType

from server.cli.release_view import change_view, history_view, status_view
from tests.support.release_answers import CHANGED, HISTORY, STATUS


def lines(view: RenderableType, width: int = 80) -> list[str]:
    """Return what is printed on a terminal of a width."""
    console = Console(file=io.StringIO(), width=width, highlight=False)
    console.print(view)
    file = console.file
    assert isinstance(file, io.StringIO)
    return [line.rstrip() for line in file.getvalue().splitlines()]


def status(**changes: Any) -> list[str]:
    """Return a status, with changes to what it says."""
    return lines(status_view({**STATUS, **changes}))


def test_a_status_says_who_has_which_part() -> None:
    """Versions, gates, the last change and the workers; nothing of it is markup."""
    shown = status()

    assert shown == [
        "m  generation 7, release = manual",
        "",
        "VERSION  STATE   DIGEST        DETAIL",
        "4        shadow  dddddddddddd  sees 2.5 % of the live batches",
        "                               incompatible: output 'y' is INT64, and was FP32",
        "3        canary  cccccccccccc  step 2 of 2, answers 25 % of the requests",
        "2        live    bbbbbbbbbbbb",
        "",
        "gates of version 4, shadow: fail",
        "  fail         disagreement 3.1 % of 900 pairs",
        "  no data      accuracy",
        "in the way: someone other than ann must approve",
        "",
        "last change: promote by ann, 2026-09-21 14:13:20 UTC: better [on] new data",
        "workers: all 2 answer by generation 7",
    ]


def test_what_is_not_as_it_should_be_stands_out() -> None:
    """Holds, workers that lag, and changes that are not written."""
    worker = {"worker": 1, "pid": 11}
    shown = status(
        held="wait",
        unwritten_changes=2,
        workers=[{**worker, "generation": 6}, {**worker, "worker": 2, "generation": None}],
        gates=None,
        last_change=None,
        mode=None,
    )

    assert shown[0] == "m  generation 7, release = unknown"
    assert shown[1] == "held: wait"
    assert "workers that answer by another generation: 1 by 6, 2 by none" in shown
    assert "not in the store yet: 2 changes" in shown
    assert "workers: none is there" in status(workers=[])


def test_what_somebody_wrote_stays_on_its_line() -> None:
    """A reason with a line break cannot look like what the gateway says of its workers."""
    shown = status(held="fine\nworkers: all 9 answer by generation 999")

    assert shown[1] == r"held: fine\nworkers: all 9 answer by generation 999"
    assert shown[-1] == "workers: all 2 answer by generation 7"


def test_a_change_says_what_has_moved() -> None:
    """Each part that there is, with what it was before."""
    assert lines(change_view(CHANGED)) == [
        "done: promote  m, generation 7",
        "  live      1 -> 2",
        "  previous  none -> 1",
        "  canary    none -> 3 (25 %)",
        "  shadows   none -> 4 (2.5 %)",
    ]


def test_a_change_that_is_not_all_done_says_so() -> None:
    """Not written, not served, repeated, or only thought of."""
    shown = lines(
        change_view(
            {
                **CHANGED,
                "durable": False,
                "repeated": True,
                "acknowledged": False,
                "workers_behind": [{"worker": 3}],
            }
        )
    )
    assert "  it was made by an earlier call with the same key" in shown
    assert any("not in the store yet" in line for line in shown)
    assert "  not served yet by these workers: 3" in shown

    dry = lines(change_view({**CHANGED, "dry_run": True}))
    assert dry[0] == "nothing is changed; promote would lead to  m, generation 7"


def test_a_history_fits_its_columns() -> None:
    """Generation, time, who, what, the live version, and why."""
    shown = lines(history_view(HISTORY))

    assert shown[0].split() == ["GEN", "WHEN", "(UTC)", "WHO", "WHAT", "LIVE", "WHY"]
    assert shown[1].startswith("7    2026-09-21 14:13:20  ann  promote  1 -> 2  better [on] new")
    assert all(len(line) <= 80 for line in shown)


def test_a_history_says_whether_it_is_sound() -> None:
    """Also when an entry is so broken that there is nothing to read in it."""
    sound = {**HISTORY, "is_sound": True, "problem": None, "unwritten_changes": 1}
    assert lines(history_view(sound))[-2:] == [
        "not in the store yet: 1 change",
        "the audit is sound",
    ]
    begins = {"at_seconds": 1_790_000_000.0, "generation": 0}
    assert lines(history_view({**sound, "begins": begins}))[-1] == "the audit is sound"
    late = lines(history_view({**sound, "begins": {**begins, "generation": 8}}))
    assert late[-2:] == [
        "it begins at generation 8, 2026-09-21 14:13:20 UTC: what was before is not in",
        "this store",
    ]

    entry = {**HISTORY["entries"][0], "after": "no route"}
    problem = {"seq": 7, "what": "entry 7 was changed"}
    broken = {**HISTORY, "entries": [entry], "is_sound": False, "problem": problem}
    shown = lines(history_view(broken))
    assert "1 -> ?" in shown[1]
    assert shown[-1] == "the audit is not sound: entry 7 was changed"
