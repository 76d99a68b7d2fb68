"""The loop goes on: through unreadable frames, a full disk, a kill, a hang, tampered updates and bad models."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest

from cvprod.edge import loop, sources, update
from cvprod.edge.journal import Journal
from cvprod.edge.loop import Inspector, ModelFault
from cvprod.edge.manifest import UpdateError
from cvprod.edge.watchdog import Watchdog
from cvprod.surface import CLASSES, make_tile, to_input

from .conftest import PIXELS, WEIGHTS, onnx_bytes


@pytest.fixture
def spool(tmp_path):
    """Twelve frames in a folder."""
    folder = tmp_path / "spool"
    folder.mkdir()
    for number, tile in enumerate(PIXELS[:12, 0]):
        cv2.imwrite(str(folder / f"{number:04d}.png"), tile)
    return folder


@pytest.fixture
def ready(plant):
    """A plant whose device runs a confirmed version 1."""
    plant.publish(1)
    plant.device.install()
    plant.device.confirm()
    return plant


def inspector(plant, **options):
    return Inspector(plant.device, journal=Journal(plant.folder / "log", reserve=0), **options)


def lines(folder):
    return [json.loads(line) for path in sorted(folder.glob("*.jsonl")) for line in path.read_text().splitlines()]


def expected(tile):
    return CLASSES[int((to_input(tile).reshape(1, -1).astype(np.float32) @ WEIGHTS).argmax())]


def test_decisions_are_the_models_and_every_frame_is_logged(ready, spool):
    report = inspector(ready).run(sources.frames(str(spool)))
    assert report.counters.frames == report.counters.tiles == 12
    logged = [line["found"][0] for line in lines(ready.folder / "log")]
    assert logged == [expected(tile) for tile in PIXELS[:12, 0]]
    assert report.counters.defects == sum(name != "clean" for name in logged)


def test_classes_are_those_of_the_manifest(plant, spool):
    names = tuple("dent" if name == "pitted_surface" else name for name in CLASSES)
    plant.publish(1, classes=names)
    plant.device.install()
    report = inspector(plant).run(sources.frames(str(spool)))
    found = [line["found"][0] for line in lines(plant.folder / "log")]
    assert "dent" in found and set(found) <= set(names) and report.counters.tiles == 12
    assert report.counters.defects == sum(name != "clean" for name in found)
    plant.publish(2, classes=("clean", "dent"))  # two names for seven logits
    with pytest.raises(UpdateError, match="7 logits where its manifest names 2"):
        plant.device.install()
    assert plant.device.active()[1].version == 1


def test_unreadable_frames_are_skipped_and_counted(ready, spool):
    good = (spool / "0001.png").read_bytes()
    (spool / "0001.png").write_bytes(good[: len(good) // 2])
    (spool / "0002.png").write_bytes(b"")
    (spool / "0003.jpg").write_bytes(b"\xff\xd8\xff not a picture")
    (spool / "0004.png").unlink()
    (spool / "0004.png").symlink_to("/nowhere.png")
    report = inspector(ready).run(sources.frames(str(spool)))
    assert report.counters.unreadable == 4
    assert report.counters.tiles == 13 - 4


def test_a_truncated_jpeg_is_no_clean_steel(tmp_path):
    """Some decoders fill the missing half with grey."""
    whole = cv2.imencode(".jpg", PIXELS[0, 0])[1].tobytes()
    path = tmp_path / "x.jpg"
    path.write_bytes(whole[: len(whole) // 2])
    assert sources.read_grey(path) is None


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, which only Linux has")
def test_a_full_disk_costs_log_lines_and_nothing_else(ready, spool, monkeypatch):
    """/dev/full makes the kernel itself say ENOSPC."""
    log = ready.folder / "log"
    log.mkdir()
    (log / "current.jsonl").symlink_to("/dev/full")

    def full(path, data, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(loop, "write_atomic", full)
    monkeypatch.setattr(update, "write_atomic", full)
    report = inspector(ready).run(sources.frames(str(spool)))
    assert report.counters.tiles == 12
    assert report.dropped_lines == 12


def test_the_journal_gives_up_old_files_first_then_lines_and_reports_the_gap(tmp_path, monkeypatch):
    journal = Journal(tmp_path, file_bytes=200, total_bytes=1000, reserve=0)
    for number in range(100):
        assert journal.write({"n": number, "pad": "x" * 20})
    kept = lines(tmp_path)
    assert kept[-1]["n"] == 99 and 5 < len(kept) < 40
    assert sum(p.stat().st_size for p in tmp_path.iterdir()) <= 1000
    free = 10
    monkeypatch.setattr("cvprod.edge.journal.shutil.disk_usage", lambda _: type("U", (), {"free": free}))
    journal.reserve = 1000
    assert not journal.write({"n": 100}) and not journal.write({"n": 101})
    assert not list(tmp_path.glob("[0-9]*.jsonl"))
    free, journal._blocked_until = 10_000, 0.0
    assert journal.write({"n": 102})
    assert lines(tmp_path)[-1] == {"n": 102, "dropped_before": 2}


def test_a_half_written_line_is_mended(tmp_path):
    (tmp_path / "current.jsonl").write_text('{"n":1}\n{"n":')
    Journal(tmp_path, reserve=0).write({"n": 2})
    assert lines(tmp_path) == [{"n": 1}, {"n": 2}]


def test_frames_larger_than_a_tile_are_cut_and_lose_only_the_margin():
    frame = np.arange(720 * 1280, dtype=np.uint32).astype(np.uint8).reshape(720, 1280)
    tiles = sources.cut(frame)
    assert len(tiles) == 3 * 5 and {tile.shape for tile in tiles} == {(224, 224)}
    assert np.array_equal(tiles[0], frame[24:248, 80:304])
    assert len(sources.cut(frame[:200, :200])) == 1
    assert len(sources.cut(frame[:100])) == 5  # a strip thinner than a tile


class Faulty:
    """A predictor that raises after the first `good` calls."""

    def __init__(self, good):
        self.left = good

    def __call__(self, tiles):
        self.left -= 1
        if self.left < 0:
            raise RuntimeError("delegate crashed")
        return np.eye(7, dtype=np.float32)[:1]


def test_a_new_model_that_fails_on_trial_is_rolled_back_while_the_loop_runs(ready, spool):
    ready.publish(2)
    ready.device.install()
    opened = []

    def opener(path, threads):
        opened.append(path)
        return Faulty(3 if len(opened) == 1 else 1000)

    report = inspector(ready, opener=opener).run(sources.frames(str(spool)))
    assert report.version == 1 and ready.device.state.refused == (2,)
    assert report.counters.faults == loop.MAX_FAULTS
    assert report.counters.tiles == 12 - loop.MAX_FAULTS
    assert any(line.get("event") == "rollback" for line in lines(ready.folder / "log"))


def test_a_confirmed_model_that_keeps_failing_ends_the_process_for_systemd(ready, spool):
    with pytest.raises(ModelFault, match="5 times in a row"):
        inspector(ready, opener=lambda path, threads: Faulty(4)).run(sources.frames(str(spool)))


def test_good_frames_end_a_trial(ready, spool, monkeypatch):
    ready.publish(2)
    ready.device.install()
    monkeypatch.setattr(loop, "CONFIRM_AFTER", 10)
    inspector(ready).run(sources.frames(str(spool)), limit=9)
    assert ready.device.state.trial_starts == 1
    inspector(ready).run(sources.frames(str(spool)))
    assert ready.device.state.trial_starts is None


def test_an_update_is_taken_up_and_a_tampered_one_is_not(ready, spool):
    def frames():
        for number, (name, picture) in enumerate(sources.frames(str(spool))):
            if number == 3:
                ready.publish(2)
                (ready.channel / "manifest.json").write_bytes(b"{}")
                with pytest.raises(UpdateError, match="no trusted key"):
                    ready.device.install()
            if number == 6:
                ready.publish(3)
                ready.device.install()
            yield name, picture

    report = inspector(ready, checkpoint_s=0).run(frames())
    models = [line["model"] for line in lines(ready.folder / "log") if "found" in line]
    assert models == [1] * 7 + [3] * 5  # taken up at the checkpoint after the frame
    assert report.counters.tiles == 12


# --- as a process, the way systemd runs it -------------------------------------------------------------------


@pytest.fixture
def systemd(tmp_path, monkeypatch):
    """The receiving end of sd_notify."""
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(str(path))
        channel.settimeout(30)
        monkeypatch.setenv("NOTIFY_SOCKET", str(path))
        monkeypatch.setenv("WATCHDOG_USEC", "200000")
        monkeypatch.delenv("WATCHDOG_PID", raising=False)
        yield channel


def start(plant, spool, *more):
    command = [sys.executable, "-m", "cvprod.edge", "run", "--source", spool, "--model-dir", plant.device.root]
    command += ["--log-dir", plant.folder / "log", "--disk-reserve", 0, *more]
    return subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def await_message(channel, text):
    seen = []
    while not seen or text not in seen[-1]:
        seen.append(channel.recv(4096).decode())
    return seen


def test_ready_alive_killed_restarted_and_stopped(ready, spool, systemd):
    """The life of a service: READY, WATCHDOG while it works, kill -9, a restart that goes on, a clean SIGTERM."""
    first = start(ready, spool, "--watch")
    assert "READY=1" in await_message(systemd, "READY=1")[-1]
    assert "12 frames" in await_message(systemd, "12 frames")[-1]
    counted = ready.device.root / "counters.json"
    deadline = time.monotonic() + 30
    while json.loads(counted.read_text())["frames"] < 12 and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()
    (ready.folder / "log" / "current.jsonl").open("a").write('{"frame":"half a li')

    second = start(ready, spool, "--watch")
    await_message(systemd, "READY=1")
    part = ready.folder / "part.png"  # beside the spool: what lies in it is taken at once, also half a file
    cv2.imwrite(str(part), PIXELS[12, 0])
    part.rename(spool / "0012.png")  # the folder's order: after 0011
    assert "13 frames" in await_message(systemd, "13 frames")[-1]
    second.send_signal(signal.SIGTERM)
    out, err = second.communicate(timeout=30)
    assert second.returncode == 0, err
    summary = json.loads(out)
    assert summary["starts"] == 2 and summary["last_frame"] == "0012.png"
    assert "STOPPING=1" in await_message(systemd, "STOPPING=1")[-1]
    assert [line["frame"] for line in lines(ready.folder / "log")].count("0005.png") == 1


def test_a_hang_stops_feeding_the_watchdog(ready, systemd):
    """What systemd sees of a hung camera: nothing, for longer than WatchdogSec."""

    def hangs():
        yield "1", PIXELS[0, 0]
        time.sleep(0.5)
        yield "2", PIXELS[1, 0]

    systemd.settimeout(0.01)
    beats = []

    def drain():
        while True:
            try:
                beats.append(systemd.recv(4096).decode())
            except TimeoutError:
                return

    inside = inspector(ready)
    generator = hangs()

    def watched():
        yield next(generator)
        drain()
        before = len(beats)
        frame = next(generator)
        drain()
        assert len(beats) == before
        yield frame

    inside.run(watched())
    assert inside.watchdog.interval_s == pytest.approx(0.1)


class Camera:
    """What cv2.VideoCapture is: `good` frames, then its cable is pulled."""

    def __init__(self, good):
        self.left, self.open = good, True

    def read(self):
        self.left -= 1
        return (True, cv2.cvtColor(PIXELS[0, 0], cv2.COLOR_GRAY2BGR)) if self.left >= 0 else (False, None)

    def release(self):
        self.open = False


def test_an_unplugged_camera_does_not_feed_the_watchdog_and_ends_the_run(ready, systemd, monkeypatch):
    monkeypatch.setattr(sources, "MAX_MISSED", 20)
    monkeypatch.setattr(sources, "MISSED_S", 0.03)  # six times what the watchdog waits for
    camera = Camera(3)
    inside = inspector(ready)
    with pytest.raises(sources.SourceError, match="still plugged in"):
        inside.run(sources._opencv(camera))
    assert inside.counters.unreadable == 20 and inside.counters.tiles == 3 and not camera.open
    systemd.settimeout(0.01)
    beats = []
    with pytest.raises(TimeoutError):
        while True:
            beats.append(systemd.recv(4096).decode())
    assert sum("WATCHDOG=1" in beat for beat in beats) <= 3


def test_a_camera_that_misses_some_frames_goes_on(monkeypatch):
    monkeypatch.setattr(sources, "MISSED_S", 0)
    camera = Camera(0)
    frames = sources._opencv(camera)
    for _ in range(3):
        assert [next(frames)[1] for _ in range(sources.MAX_MISSED - 1)] == [None] * (sources.MAX_MISSED - 1)
        camera.left = 1
        assert next(frames)[1].shape == PIXELS[0, 0].shape


def test_a_trial_ends_as_soon_as_it_can_be_written_down(ready, spool, monkeypatch):
    monkeypatch.setattr(loop, "CONFIRM_AFTER", 5)
    ready.publish(2)
    ready.device.install()
    real, tries = ready.device.confirm, []

    def confirm(version):
        tries.append(version)
        if len(tries) < 3:
            raise UpdateError("another install or rollback is running")
        real(version)

    monkeypatch.setattr(ready.device, "confirm", confirm)
    inspector(ready).run(sources.frames(str(spool)))
    assert tries == [2, 2, 2] and ready.device.state.trial_starts is None


def test_to_take_up_a_new_model_while_running_counts_as_its_first_start(ready, spool):
    def frames():
        found = list(sources.frames(str(spool)))
        yield found[0]
        ready.publish(2)
        ready.device.install()
        yield from found[1:]

    report = inspector(ready, checkpoint_s=0).run(frames())
    assert report.version == 2 and ready.device.state.trial_starts == 1


@pytest.mark.parametrize("seconds", [0.0, 3600.0])
def test_the_checkpoint_is_as_old_as_its_interval_allows(ready, spool, seconds):
    """What a kill after the fifth frame would find."""
    counted, found = ready.device.root / "counters.json", []

    def frames():
        for number, frame in enumerate(sources.frames(str(spool))):
            if number == 5:
                found.append(json.loads(counted.read_text())["frames"])
            yield frame

    inspector(ready, checkpoint_s=seconds).run(frames())
    assert found == [5 if seconds == 0 else 0]


@pytest.mark.parametrize("seconds", [-1.0, float("nan"), float("inf")])
def test_an_interval_between_checkpoints_that_is_none_is_refused(ready, seconds):
    with pytest.raises(ValueError, match="between checkpoints"):
        inspector(ready, checkpoint_s=seconds)


def test_outside_systemd_the_watchdog_is_silent(monkeypatch):
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    watchdog = Watchdog()
    watchdog.ready()
    watchdog.alive("x")
    watchdog.stopping()


def test_a_crashing_model_is_rolled_back_by_restarts_alone(ready, spool, tmp_path, monkeypatch):
    """A segmentation fault cannot be caught. Systemd restarts; after three deaths on trial the old model is back."""
    ready.publish(2)
    ready.device.install()
    slot = ready.device.active()[0].parent.name
    crash = (
        "import os, signal\n"
        "from cvprod.edge import engine, loop\n"
        "def opener(path, threads):\n"
        f"    if path.parent.name == {slot!r}: os.kill(os.getpid(), signal.SIGSEGV)\n"
        "    return engine.open_model(path, threads)\n"
        "from pathlib import Path\n"
        "from cvprod.edge import sources, update\n"
        f"d = update.Device(Path({str(ready.device.root)!r}))\n"
        "i = loop.Inspector(d, opener=opener)\n"
        f"print(i.run(sources.frames({str(spool)!r})).version)\n"
    )
    ends = []
    for _ in range(update.MAX_TRIAL_STARTS + 1):
        done = subprocess.run([sys.executable, "-c", crash], capture_output=True, text=True, check=False)
        ends.append(done.returncode)
    assert ends == [-signal.SIGSEGV] * 3 + [0]
    assert done.stdout.strip() == "1"
    assert ready.device.state.refused == (2,)


def test_errors_of_the_command_line_name_the_remedy(ready, capsys):
    from cvprod.edge import cli

    root = str(ready.device.root)
    assert cli.main(["run", "--source", "/no/such/folder", "--model-dir", root]) == 1
    assert "no such folder" in capsys.readouterr().err
    assert cli.main(["run", "--source", root, "--model-dir", root, "--checkpoint", "-1"]) == 1
    assert "between checkpoints" in capsys.readouterr().err
    assert cli.main(["run", "--source", "camera:97", "--model-dir", root]) == 1
    assert "picamera2" in capsys.readouterr().err


def test_a_model_of_another_kind_is_refused_with_what_would_do(tmp_path):
    from cvprod.edge.engine import EngineError, open_model

    with pytest.raises(EngineError, match=r"\.tflite and \.onnx"):
        open_model(tmp_path / "x.pte")
    (tmp_path / "x.onnx").write_bytes(onnx_bytes(WEIGHTS))
    assert np.array_equal(open_model(tmp_path / "x.onnx")(PIXELS).shape, (28, 7))
    model = onnx.load(tmp_path / "x.onnx")
    model.graph.output.append(model.graph.input[0])  # hands the pixels through, as a second answer
    model.graph.node.append(onnx.helper.make_node("Identity", [model.graph.input[0].name], ["again"]))
    model.graph.output[1].name = "again"
    onnx.save(model, tmp_path / "two.onnx")
    with pytest.raises(EngineError, match="2 outputs; this device wants one each"):
        open_model(tmp_path / "two.onnx")


# --- folders as cameras leave them ---------------------------------------------------------------------------


def watched(folder, then, *, after=""):
    """Names that come out of a watched folder; `then` is called when it is quiet for the first time."""
    names, quiet = [], 0
    for name, picture in sources.frames(str(folder), watch=True, poll_s=0.02, after=after):
        if name:
            names.append((name, picture is not None))
        else:
            quiet += 1
            if quiet == 1:
                then()
            elif quiet > 80:
                return names
    raise AssertionError("a watched folder ends only with its reader")


@pytest.mark.parametrize(
    ("before", "later"),
    [
        (["img_8", "img_9"], ["img_10", "img_11"]),
        (["frame_0500", "frame_0501"], ["frame_0000", "frame_0001"]),
        (["02-58", "02-59"], ["02-00", "02-01"]),
    ],
    ids=["numbers", "numbers start again", "clock set back"],
)
def test_a_watched_folder_sees_new_files_whatever_they_are_called(tmp_path, before, later):
    picture = cv2.imencode(".png", np.full((96, 96), 90, np.uint8))[1].tobytes()
    for name in before:
        (tmp_path / f"{name}.png").write_bytes(picture)
    seen = watched(tmp_path, lambda: [(tmp_path / f"{name}.png").write_bytes(picture) for name in later])
    assert seen == [(f"{name}.png", True) for name in [*before, *later]]


def test_a_watched_folder_waits_for_a_file_that_is_still_on_its_way(tmp_path):
    picture = cv2.imencode(".png", np.full((96, 96), 90, np.uint8))[1].tobytes()
    (tmp_path / "a.png").write_bytes(picture[: len(picture) // 2])
    assert watched(tmp_path, lambda: (tmp_path / "a.png").write_bytes(picture)) == [("a.png", True)]
    (tmp_path / "b.png").write_bytes(b"never whole")
    old = time.time() - 60
    os.utime(tmp_path / "b.png", (old, old))
    assert ("b.png", False) in watched(tmp_path, lambda: None)


def test_a_later_run_goes_on_where_the_earlier_one_stopped(tmp_path):
    picture = cv2.imencode(".png", np.full((96, 96), 90, np.uint8))[1].tobytes()
    for i, name in enumerate(("img_9", "img_10", "img_11", "img_0")):  # the camera has started again
        (tmp_path / f"{name}.png").write_bytes(picture)
        os.utime(tmp_path / f"{name}.png", (1000 + i, 1000 + i))
    names = [name for name, _ in sources.frames(str(tmp_path), after="img_10.png")]
    assert names == ["img_0.png", "img_11.png"]


def test_what_is_no_picture_of_the_camera_is_passed_over(tmp_path):
    picture = cv2.imencode(".png", np.full((96, 96), 90, np.uint8))[1].tobytes()
    (tmp_path / "a.png").write_bytes(picture)
    (tmp_path / "._a.png").write_bytes(b"\0\5\x16\7")
    (tmp_path / ".b.png").write_bytes(picture[:20])
    (tmp_path / "Thumbs.db").write_bytes(b"")
    (tmp_path / "b.png").mkdir()
    assert [name for name, _ in sources.frames(str(tmp_path))] == ["a.png"]


def test_a_jpeg_whose_scan_stops_early_is_no_picture(tmp_path):
    tile = make_tile("scratches", 5).image
    data = cv2.imencode(".jpg", tile)[1].tobytes()
    start = data.rindex(b"\xff\xda") + 10
    for share in (0.2, 0.5, 0.9):
        cut = data[: start + int((len(data) - start) * share)].rstrip(b"\xff") + b"\xff\xd9"
        (tmp_path / "a.jpg").write_bytes(cut)
        assert sources.read_grey(tmp_path / "a.jpg") is None
    (tmp_path / "a.jpg").write_bytes(data + b"\r\n")  # a phone's or a camera's trailer does no harm
    assert sources.read_grey(tmp_path / "a.jpg") is not None


@pytest.mark.parametrize("which", ["-1", "x"])
def test_a_camera_that_is_no_number_never_reaches_opencv(which, monkeypatch):
    monkeypatch.setattr(cv2, "VideoCapture", lambda _: pytest.fail("-1 ends some builds of OpenCV with the process"))
    with pytest.raises(sources.SourceError, match="have numbers"):
        sources.frames(f"camera:{which}")
