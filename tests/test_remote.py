"""Sound behind an address: what it is, how it is fetched, and that it makes the same store as on a disk."""

import pickle
import socket
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from servers import Ranged, free_port, s3, web

from edgesea import audio, datasets, embed, remote
from edgesea.cli import main
from edgesea.errors import EdgeseaError, UsageError
from edgesea.remote import Remote
from edgesea.store import Store

pytest.importorskip("aiohttp")


@pytest.fixture
def sound(tmp_path) -> Path:
    """Three files in two folders, one of them long enough to be outlined, one that is no sound."""
    folder = tmp_path / "sound"
    rng = np.random.default_rng(0)
    for name, seconds, kind in (
        ("dog/a.wav", 1.0, "PCM_16"),
        ("cat/b.flac", 2.0, "PCM_16"),
        ("c.wav", 40.0, "FLOAT"),
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(
            folder / name, 0.1 * rng.standard_normal(round(seconds * 16_000)), 16_000, subtype=kind
        )
    (folder / "bad.wav").write_bytes(b"no sound")
    (folder / "table.csv").write_text("path,label\ndog/a.wav,dog\ncat/b.flac,cat\nc.wav,cat\nbad.wav,cat\n")
    return folder


@pytest.fixture(autouse=True)
def anew(monkeypatch):
    """No file system and no fetched file of another test."""
    for cached in (remote._of_protocol, remote._cache):
        cached.cache_clear()
    yield
    for cached in (remote._of_protocol, remote._cache):
        cached.cache_clear()


def embedded(data, folder) -> dict[str, bytes]:
    assert main_code(["embed", "--teacher", "demo", "--data", str(data), "--out", str(folder)]) == 0
    return {each.name: each.read_bytes() for each in sorted(Path(folder).glob("shard-*.arrow"))}


def main_code(arguments) -> int:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    return ended.value.code or 0


def test_an_address_is_a_path_with_two_slashes():
    file = remote.path("s3://bucket/a/b.wav")
    assert isinstance(file, Remote)
    assert (str(file), file.name, file.suffix) == ("s3://bucket/a/b.wav", "b.wav", ".wav")
    assert str(file.parent / "c.wav") == "s3://bucket/a/c.wav"
    assert file.is_relative_to(remote.path("s3://bucket"))
    assert file.relative_to(remote.path("s3://bucket")).as_posix() == "a/b.wav"
    assert file.as_posix() == f"{file}" == "s3://bucket/a/b.wav"
    assert pickle.loads(pickle.dumps(file)) == file
    assert remote.path(str(file)) == remote.path("s3:/bucket/a/b.wav") == file
    assert remote.path("https://host/a.wav?key=1").suffix == ".wav"


@pytest.mark.parametrize("text", ["a.wav", "/s3/a.wav", "file:///etc/passwd", "zip://x::http://h/y", "s3:a"])
def test_what_is_no_address_of_a_known_kind_is_a_path_here(text):
    assert not isinstance(remote.path(text), Remote)


def test_a_table_on_the_web_makes_the_store_of_the_same_table_here(sound, tmp_path):
    here = embedded(sound / "table.csv", tmp_path / "here")
    for kind in (Ranged, None):
        with web(sound, *([kind] if kind else [])) as (address, _):
            assert embedded(f"{address}/table.csv", tmp_path / f"there{kind}") == here
    assert len(here) == 1


def test_addresses_in_a_table_that_lies_here(sound, tmp_path):
    with web(sound) as (address, _):
        (tmp_path / "table.csv").write_text(f"path\n{address}/dog/a.wav\nsound/c.wav\n")
        manifest = datasets.load(tmp_path / "table.csv")
        assert [str(clip.path) for clip in manifest.clips] == [f"{address}/dog/a.wav", str(sound / "c.wav")]
        waveform = audio.read(manifest.clips[0].path, 16_000)
    np.testing.assert_array_equal(waveform, audio.read(sound / "dog" / "a.wav", 16_000))


def test_a_header_is_read_without_the_rest_where_the_server_gives_parts(sound):
    size = (sound / "c.wav").stat().st_size
    with web(sound, Ranged) as (address, asked):
        assert audio.survey(remote.path(f"{address}/c.wav")) == audio.survey(sound / "c.wav")
        fetched = [each for _, _, each in asked if each]
        assert fetched == ["bytes=0-131071", f"bytes={size - 131072}-{size - 1}"]
        assert not any(method == "GET" and part is None for method, _, part in asked)


def test_a_header_of_a_file_that_was_cut_off(sound):
    whole = (sound / "c.wav").read_bytes()
    (sound / "c.wav").write_bytes(whole[: len(whole) * 3 // 4])
    with web(sound, Ranged) as (address, _):
        told = audio.survey(remote.path(f"{address}/c.wav"))
    assert told == audio.survey(sound / "c.wav")
    assert told.seconds == pytest.approx(30, abs=0.01)


def test_bad_files_are_named_by_their_address(sound):
    with web(sound) as (address, _):
        for name, reason in (("bad.wav", "not audio that libsndfile can decode"), ("gone.wav", "missing")):
            with pytest.raises(audio.BadAudio) as error:
                audio.read(remote.path(f"{address}/{name}"), 16_000)
            assert str(error.value) == f"Cannot use the audio file {address}/{name}: {reason}."


def test_what_is_fetched_once_is_kept_up_to_a_bound(sound, monkeypatch):
    small, large = (sound / name for name in ("dog/a.wav", "c.wav"))
    monkeypatch.setattr(remote, "KEPT", small.stat().st_size)
    with web(sound) as (address, asked):
        for name, fetched in (
            ("dog/a.wav", 1),
            ("dog/a.wav", 1),
            ("c.wav", 2),
            ("c.wav", 3),
            ("dog/a.wav", 4),
        ):
            with remote.here(remote.path(f"{address}/{name}")) as file:
                assert file.read_bytes() == (sound / name).read_bytes()
            assert sum(method == "GET" for method, _, _ in asked) == fetched, name
        held = list(Path(remote._cache()._folder.name).glob("*.wav"))
    assert [file.stat().st_size for file in held] == [small.stat().st_size]
    assert large.stat().st_size > remote.KEPT


def test_a_file_that_is_too_large_is_not_fetched_to_its_end(sound, monkeypatch):
    monkeypatch.setattr(remote, "LARGEST", 1000)
    with web(sound) as (address, _), pytest.raises(EdgeseaError) as error:
        audio.read(remote.path(f"{address}/c.wav"), 16_000)
    assert str(error.value) == f"{address}/c.wav is larger than 0 GiB: divide it into several."
    assert not list(Path(remote._cache()._folder.name).glob("*.wav"))


def test_what_a_killed_process_fetched_is_taken_away(tmp_path, monkeypatch):
    monkeypatch.setattr(remote.tempfile, "gettempdir", lambda: str(tmp_path))
    left = tmp_path / "edgesea-fetched-left"
    left.mkdir()
    (left / "owned").touch()
    (left / "1.wav").touch()
    mine = Path(remote._cache()._folder.name)
    remote._sweep()
    assert not left.exists()
    assert mine.exists()


def test_a_server_that_is_not_there_ends_the_call_with_a_sentence(tmp_path, capsys):
    address = f"http://127.0.0.1:{free_port()}/table.csv"
    assert main_code(["embed", "--teacher", "demo", "--data", address, "--out", str(tmp_path / "s")]) == 1
    said = capsys.readouterr().err
    assert f"The server of {address} does not answer" in said
    assert "look at the connection, and call again, which goes on." in said
    assert not (tmp_path / "s").exists()


def test_a_server_that_says_nothing_is_waited_for_so_long(monkeypatch):
    monkeypatch.setattr(remote, "_READ_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}/a.wav"
        with pytest.raises(EdgeseaError, match=r"does not answer \("):
            remote.path(address).is_file()


def test_a_server_that_goes_away_costs_only_what_is_missing(sound, tmp_path, monkeypatch):
    monkeypatch.setattr(embed, "PIECE_SECONDS", 3.0)
    expected = embedded(sound / "table.csv", tmp_path / "here")
    out = tmp_path / "there"
    with web(sound, Ranged) as (address, _):
        call = ["embed", "--teacher", "demo", "--data", f"{address}/table.csv", "--out", str(out)]
        fetch = remote._Cache._fetch

        def failing(self, path):
            if path.name == "c.wav":
                raise EdgeseaError("The server is gone.")
            fetch(self, path)

        monkeypatch.setattr(remote._Cache, "_fetch", failing)
        assert main_code(call) == 1
        before = {each.name for each in out.glob("shard-*")}
        assert before
        assert before < set(expected)
        monkeypatch.setattr(remote._Cache, "_fetch", fetch)
        assert main_code(call) == 0
    assert {each.name: each.read_bytes() for each in out.glob("shard-*")} == expected


def test_what_is_not_installed_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    with pytest.raises(UsageError) as error:
        remote.path("https://127.0.0.1/a.wav").is_file()
    assert str(error.value) == (
        "Reading https:// takes aiohttp, which is not installed: run `pip install 'edgesea[cloud]'`."
    )


def test_a_folder_on_the_web_is_no_data(sound):
    with web(sound) as (address, _), pytest.raises(UsageError) as error:
        datasets.load(f"{address}/dog/")
    assert "the web has no folders, so give a recording or a CSV table." in str(error.value)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with s3(tmp_path_factory.mktemp("moto")) as found:
        yield found


class TestS3:
    """Against moto's server."""

    @pytest.fixture
    def bucket(self, server, monkeypatch, sound):
        """The sound of the tests, in s3://field/x."""
        client, environment = server
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        client.create_bucket(Bucket="field")
        for file in (each for each in sound.rglob("*") if each.is_file()):
            client.put_object(Bucket="field", Key=f"x/{file.relative_to(sound)}", Body=file.read_bytes())

    def test_folder_and_table_make_the_stores_that_they_make_here(self, bucket, sound, tmp_path):
        folder = datasets.load("s3://field/x")
        here = datasets.load(sound)
        assert [folder.relative(c.path) for c in folder.clips] == [here.relative(c.path) for c in here.clips]
        assert [clip.labels for clip in folder.clips] == [clip.labels for clip in here.clips]
        assert embedded("s3://field/x", tmp_path / "there") == embedded(sound, tmp_path / "here")
        assert "bad.wav" in (tmp_path / "there" / "skipped.csv").read_text()
        table = datasets.load("s3://field/x/dog")
        assert [clip.path.name for clip in table.clips] == ["a.wav"]
        table = datasets.load("s3://field/x/table.csv")
        assert table.labels == ("cat", "dog")
        one = datasets.load("s3://field/x/c.wav")
        assert audio.survey(one.clips[0].path).seconds == 40

        with pytest.raises(UsageError, match=r"There is no data at s3://field/none: "):
            datasets.load("s3://field/none")
        with pytest.raises(UsageError, match=r"There is no data at s3://none/x: "):
            datasets.load("s3://none/x")

    def test_a_shared_store_is_addressed_by_sound_and_not_by_place(self, bucket, sound, tmp_path):
        table = "s3://field/x/table.csv"
        assert datasets.load(table).fingerprint == datasets.load(sound / "table.csv").fingerprint
        shared = ["--store", str(tmp_path / "shared")]
        for data, out in ((sound / "table.csv", "here"), (table, "there")):
            arguments = ["embed", "--teacher", "demo", "--data", str(data), "--out", str(tmp_path / out)]
            assert main_code([*arguments, *shared]) == 0
        assert len(list((tmp_path / "shared").iterdir())) == 1
        assert len(Store.open(tmp_path / "there")) == len(Store.open(tmp_path / "here"))

    def test_credentials(self, bucket, monkeypatch, tmp_path):
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name)
        for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
            monkeypatch.setenv(name, str(tmp_path / "none"))
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        with pytest.raises(UsageError) as error:
            datasets.load("s3://field/x")
        assert str(error.value).startswith(
            "s3://field/x asks for credentials, and there are none: set AWS_ACC"
        )

    def test_a_table_that_names_what_is_not_there(self, bucket, tmp_path):
        (tmp_path / "table.csv").write_text("path\ns3://field/x/c.wav\ns3://field/x/gone.wav\n")
        with pytest.raises(UsageError, match=r"for 1 of its 2 clips, first s3://field/x/gone.wav in line 3"):
            datasets.load(tmp_path / "table.csv")


def test_a_server_of_s3_that_is_not_there(monkeypatch):
    pytest.importorskip("s3fs")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setattr(remote, "_TRIES", 1)
    with pytest.raises(EdgeseaError, match=r"^The server of s3://field/x does not answer \("):
        datasets.load("s3://field/x")
