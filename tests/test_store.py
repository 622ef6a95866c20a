"""What was answered stays answered: a crash, a full disk or a second process loses nothing."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from toetssteen.errors import BusyError, ContentError, RunError
from toetssteen.records import Answer, Block, Failure, Generate, Generation, Message, Reading
from toetssteen.run import store as store_module
from toetssteen.run.store import Partial, Session, Store

if TYPE_CHECKING:
    from conftest import Lab


def answer(name: str, text: str = "Ja", *, failed: bool = False) -> Answer:
    said = Failure("timeout", "took 60 s") if failed else Generation(text, "stop", 1)
    return Answer(name, "quality/x", name, (Generate((Message("user", "?"),), 4),), (said,))


def block(number: int) -> Block:
    reading = Reading("none", None, "unknown", "unknown", "none", "no counters")
    return Block(f"quality/x#{number}", "quality/x", 2, 0.5, (reading,))


def partial(name: str, *, failed: bool = False) -> Partial:
    said = Failure("timeout", "took 60 s") if failed else Generation("Ja", "stop", 1)
    return Partial(name, (said, None))


def filled(folder: Path, blocks: int = 3) -> Path:
    """Write blocks of two answers, each with part of one that the next block holds whole."""
    with Store(folder) as store:
        store.start(Session("2026-11-23T09:00:00+00:00", {"adapter": "scripted"}, {}))
        for number in range(blocks):
            store.append(
                [answer(f"{number}a"), answer(f"{number}b", 'é "\n\u2028')],
                block(number),
                [partial(f"{number + 1}a")],
            )
    return folder / "answers.jsonl"


def test_what_was_kept_is_read_back(tmp_path: Path) -> None:
    filled(tmp_path)
    with Store(tmp_path) as store:
        assert list(store.answers.by_key) == ["0a", "0b", "1a", "1b", "2a", "2b"]
        assert store.answers.by_key["1b"] == answer("1b", 'é "\n\u2028')
        assert store.answers.blocks == [block(0), block(1), block(2)]
        assert len(store.answers.sessions) == 1


def test_any_answer_is_found_in_any_order(tmp_path: Path) -> None:
    """More blocks than are held at once, and what was asked again counts as it was asked last."""
    filled(tmp_path, blocks=12)
    with Store(tmp_path) as store:
        store.append([answer("3a", "Nee")], block(12))
        keys = [f"{number}{part}" for number in range(12) for part in "ab"]
        for key in random.Random(5).sample(keys, k=24):  # noqa: S311
            assert store.answers.by_key[key].item == key
        assert store.answers.by_key["3a"] == answer("3a", "Nee")
        assert sorted(store.answers.by_key) == sorted(keys)
        assert "12a" not in store.answers.by_key
        assert store.answers.by_key.get("12a") is None
    with Store(tmp_path) as store:
        assert store.answers.by_key["3a"] == answer("3a", "Nee")
        assert len(store.answers.by_key) == 24


def test_an_answer_that_is_changed_under_way_is_not_passed_over(tmp_path: Path) -> None:
    file = filled(tmp_path)
    with Store(tmp_path) as store:
        file.write_bytes(b"x" * file.stat().st_size)
        with pytest.raises(ContentError, match=r"answers\.jsonl: was changed while it was in use"):
            store.answers.by_key["1a"]
        file.unlink()
        with pytest.raises(ContentError, match=r"answers\.jsonl: cannot be read: No such file"):
            store.has("2a")


def test_a_cut_at_any_byte_costs_at_most_the_last_block(tmp_path: Path) -> None:
    """Whatever was on disk when the power went: whole blocks, or nothing of a block."""
    whole = filled(tmp_path / "whole", blocks=2).read_bytes()
    ends = [0]
    for line in whole.split(b"\n")[:-1]:
        ends.append(ends[-1] + len(line) + 1)
    closing = {
        end: sum(b'"line":"block"' in line for line in whole[:end].split(b"\n")) for end in ends
    }
    for cut in range(len(whole) + 1):
        folder = tmp_path / "cut"
        folder.mkdir(exist_ok=True)
        (folder / "answers.jsonl").write_bytes(whole[:cut])
        complete = max(closing[end] for end in ends if end <= cut)
        with Store(folder) as store:
            assert len(store.answers.blocks) == complete
            assert len(store.answers.by_key) == 2 * complete
            # What there is of an answer goes the way of the block it was asked in.
            parts = [n for n in range(5) if store.partial(f"{n}a")]
            assert parts == ([complete] if complete else [])
            store.append([answer("new")], block(9))
        with Store(folder) as store:
            assert len(store.answers.blocks) == complete + 1


def test_reading_a_run_that_is_being_written_changes_nothing(tmp_path: Path) -> None:
    """`toets plan` may look while `toets run` writes."""
    file = filled(tmp_path)
    (tmp_path / "plan.json").write_text("{}")
    file.write_bytes(file.read_bytes() + b'{"answer": {"key": "half')
    before = file.read_bytes()
    assert len(Store.reading(tmp_path).answers.blocks) == 3
    assert file.read_bytes() == before


def test_a_folder_without_a_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(ContentError, match="holds no run"):
        Store.reading(tmp_path)


def test_damage_in_the_middle_is_not_passed_over(tmp_path: Path) -> None:
    """A torn end is a crash; a broken line before it is somebody's editor, and is named."""
    file = filled(tmp_path)
    lines = file.read_bytes().split(b"\n")
    lines[2] = lines[2][:20]
    file.write_bytes(b"\n".join(lines))
    with pytest.raises(ContentError, match=r"answers\.jsonl:3: is damaged"), Store(tmp_path):
        pass
    lines[2] = b"{}"
    file.write_bytes(b"\n".join(lines))
    with pytest.raises(ContentError, match="is damaged"), Store(tmp_path):
        pass


def test_a_second_process_is_refused(tmp_path: Path) -> None:
    """Two writers would ask everything twice."""
    script = (
        "import sys; from pathlib import Path; from toetssteen.run.store import Store\n"
        f"with Store(Path({str(tmp_path)!r})): print('held', flush=True); sys.stdin.readline()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(BusyError, match="another process is working on this run"):
            Store(tmp_path).__enter__()
        other.communicate("done\n")
    with Store(tmp_path):
        pass


def test_a_full_disk_keeps_what_was_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The block that did not fit is cut off whole; the message says that the run continues."""
    file = filled(tmp_path)
    before = file.read_bytes()

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with Store(tmp_path) as store:
        with monkeypatch.context() as patch:
            patch.setattr(store_module.os, "fsync", full)
            with pytest.raises(RunError, match=r"No space left on device.*same command continues"):
                store.append([answer("3a")], block(3))
        assert file.read_bytes() == before
        assert not store.has("3a")
        store.append([answer("3a")], block(3))
    with Store(tmp_path) as store:
        assert store.has("3a")


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RunError, match="cannot be written"), Store(tmp_path / "file" / "run"):
        pass


def test_failures_that_may_pass_can_be_asked_again(tmp_path: Path) -> None:
    """A timeout is an answer, until the user asks to try again; too long stays too long."""
    long = Answer("l", "quality/x", "l", (), (Failure("too_long", "9 tokens"),))
    with Store(tmp_path) as store:
        store.append([answer("t", failed=True), answer("ok"), long], block(0))
        assert [store.has(key) for key in ("t", "ok", "l")] == [True, True, True]
        assert [store.has(key, retry_failed=True) for key in ("t", "ok", "l")] == [
            False,
            True,
            True,
        ]
        store.append([answer("t")], block(1))
        assert store.has("t", retry_failed=True)


def test_part_of_an_answer_is_kept_until_the_whole_is_there(tmp_path: Path) -> None:
    """It is no answer, and no more of use behind one; a failure in it may be asked again."""
    with Store(tmp_path) as store:
        store.append([], block(0), [partial("a"), partial("b", failed=True)])
        assert not store.has("a")
        assert "a" not in store.answers.by_key
        assert list(store.answers.by_key) == []
    with Store(tmp_path) as store:
        assert store.partial("a") == [Generation("Ja", "stop", 1), None]
        assert store.partial("a", retry_failed=True) == store.partial("a")
        assert store.partial("b") == [Failure("timeout", "took 60 s"), None]
        assert store.partial("b", retry_failed=True) == [None, None]
        assert store.partial("c") == ()
        store.append([answer("a")], block(1))
        assert store.partial("a") == ()
    with Store(tmp_path) as store:
        assert store.partial("a") == ()
        assert store.partial("b")
        assert store.answers.by_key["a"] == answer("a")


def test_half_a_results_file_is_never_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store(tmp_path) as store:
        store.write_json("results.json", {"n": 1})
        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", _no_space)
            with pytest.raises(RunError, match="cannot be written"):
                store.write_json("results.json", {"n": 2})
        assert '"n": 1' in (tmp_path / "results.json").read_text()
        assert [p.name for p in tmp_path.glob(".*part")] == []


def _no_space(*_: Any) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.slow
def test_twenty_kills_at_random_moments_change_no_digit(lab: "Lab") -> None:
    """`kill -9`, twenty times in a row: the estimates are those of an undisturbed run."""
    command = [sys.executable, "-m", "toetssteen", "run", "lab/many", "-c", "slow"]
    command += ["--path", str(lab.folder), "--no-tracking"]
    undisturbed = lab.folder / "undisturbed"
    subprocess.run([*command, "--runs", str(undisturbed)], check=True, capture_output=True)
    disturbed = lab.folder / "disturbed"
    luck = random.Random(20)  # noqa: S311
    kills = 0
    while kills < 20:
        process = subprocess.Popen(
            [*command, "--runs", str(disturbed)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(luck.uniform(0.6, 1.9))
        if process.poll() is not None:
            pytest.fail(f"the run ended after {kills} kills; it should be longer")
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        kills += 1
    subprocess.run([*command, "--runs", str(disturbed)], check=True, capture_output=True)
    assert lab.estimates(disturbed) == lab.estimates(undisturbed)
    assert lab.answered(disturbed) == lab.answered(undisturbed)
