"""POST /v1/frames: boxes in the frame's coordinates, refusals in clear words, and the same rules as for /v1/inspect."""

import asyncio
import json
from typing import ClassVar

import httpx
import numpy as np
import pytest

from cvprod import contract, surface
from cvprod.serving import auth, localisation
from cvprod.serving.__main__ import main
from cvprod.serving.errors import KINDS
from cvprod.serving.settings import Settings, SettingsError, load
from cvprod.traffic import hostile

from . import conftest

FRAME = surface.make_frame(11, ["patches", "crazing"], width=1500)
PNG = hostile.encode(FRAME.image, "PNG")
LIMITS = contract.load_contract()


def ask(app, *requests):
    """The answers to POST requests, (path, options) each."""
    return conftest.ask(app, *(("POST", *request) for request in requests))


def frame(data=PNG, **headers):
    return "/v1/frames", {"content": data, "headers": {"content-type": "image/png", **headers}}


def problem(answer, slug):
    assert answer.status_code == KINDS[slug].status and answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == f"/problems#{slug}"
    return answer.json()["detail"]


def turned(image, orientation):
    """A file whose pixels lie as a camera wrote them and whose EXIF says how to turn them."""
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = orientation
    undo = {3: np.rot90(image, 2), 6: np.rot90(image), 8: np.rot90(image, -1)}[orientation]
    return hostile.encode(np.ascontiguousarray(undo), "PNG", exif=exif.tobytes())


def test_boxes_lie_where_the_defects_are(make_app):
    (answer,) = ask(make_app(), frame())
    found = answer.json()
    assert answer.status_code == 200 and found["frame"] == {"width": 1500, "height": 300}
    assert found["request_id"] == answer.headers["x-request-id"] and found["model"]["name"] == "steel"
    assert {d["label"] for d in found["defects"]} & {"patches", "crazing"}
    boxes = [d["box"] for d in found["defects"]]
    for x0, y0, x1, y1 in FRAME.boxes:
        x, y = (x0 + x1) / 2, (y0 + y1) / 2
        assert any(left <= x < right and top <= y < bottom for left, top, right, bottom in boxes)
    assert all(0 < d["probability"] <= 1 and d["review"] == (d["probability"] < 0.8) for d in found["defects"])
    tiles = found["tiles"]
    assert tiles["pixels"] == LIMITS.line.tile_pixels
    assert (len(tiles["y"]), len(tiles["x"])) == (len(tiles["labels"]), len(tiles["labels"][0]))
    assert all(tiles["labels"][r][c] in surface.CLASSES for r, c in tiles["review"])


def test_the_service_finds_what_the_plain_functions_find(make_app, model):
    (answer,) = ask(make_app(), frame())
    line = LIMITS.line
    plain = localisation.search(model, FRAME.image, tile=line.tile_pixels, overlap=line.tile_overlap_pixels)
    assert [tuple(d["box"]) for d in answer.json()["defects"]] == [f.box for f in plain]


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_coordinates_are_those_of_the_upright_frame(make_app, orientation):
    upright, said = ask(make_app(), frame(), frame(turned(FRAME.image, orientation)))
    assert said.json()["frame"] == upright.json()["frame"]
    assert said.json()["defects"] == upright.json()["defects"] != []


def test_a_form_with_one_file_is_the_same_and_two_are_refused(make_app):
    one, two, raw = ask(
        make_app(),
        ("/v1/frames", {"files": [("images", PNG)]}),
        ("/v1/frames", {"files": [("images", PNG)] * 2}),
        frame(),
    )
    assert one.json()["defects"] == raw.json()["defects"]
    problem(two, "too-many-images")


def test_what_is_no_frame_is_refused_in_clear_words(make_app):
    zoo = hostile.hostile()
    shapes = {"small": (100, 3000), "many": (3000, 3000)}
    files = {name: hostile.encode(np.zeros(shape, np.uint8), "PNG") for name, shape in shapes.items()}
    asked = [frame(files["small"]), frame(files["many"]), frame(b""), frame(zoo["png bomb"][0]), frame(PNG[:-400])]
    small, many, empty, bomb, short = ask(make_app(), *asked)
    assert "3000 x 100 pixels; a frame has at least 112 x 112" in problem(small, "image-too-small")
    assert "at most 64 in one frame" in problem(many, "image-too-large")
    assert "pixels; at most" in problem(bomb, "image-too-large")
    problem(empty, "body-empty")
    problem(short, "image-truncated")


def test_every_hostile_file_is_refused_as_inspect_refuses_it_or_for_its_size(make_app):
    zoo = hostile.hostile()
    answers = ask(make_app(), *[frame(data) for data, _ in zoo.values()])
    for (name, (data, slug)), answer in zip(zoo.items(), answers, strict=True):
        assert answer.status_code in (400, 413, 415, 422), name
        kinds = {slug if data else "body-empty", "image-too-small", "image-too-large"}
        assert answer.json()["type"].removeprefix("/problems#") in kinds, name


def test_a_frame_too_large_for_the_grid_is_refused_before_it_is_decoded(make_app, monkeypatch):
    app = make_app()
    monkeypatch.setattr("cvprod.serving.images.decode", lambda *_, **__: pytest.fail("decoded"))
    (answer,) = ask(app, frame(hostile.encode(np.zeros((3000, 3000), np.uint8), "PNG")))
    problem(answer, "image-too-large")


def test_other_media_types_bodies_and_deadlines(make_app):
    text, packed, long = ask(
        make_app(max_body_bytes=len(PNG)),
        ("/v1/frames", {"content": b"x", "headers": {"content-type": "text/plain"}}),
        frame(**{"content-encoding": "gzip"}),
        frame(PNG + b"1"),
    )
    whole = hostile.encode(np.tile(FRAME.image, (1, 2)), "PNG")  # to be inflated takes more than a millisecond anywhere
    (late,) = ask(make_app(), frame(whole, **{"x-timeout-ms": "1"}))
    problem(text, "media-type-unsupported")
    problem(packed, "encoding-unsupported")
    problem(late, "deadline-exceeded")
    problem(long, "body-too-large")


def test_keys_and_rates_hold_and_watchers_see_every_tile(make_app, tmp_path):
    class Watcher:
        observed: ClassVar[list] = []

        def seen(self, observation):
            self.observed.append(observation)

    key = auth.add(tmp_path / "keys.jsonl", "line 3", rate=0.01)
    app = make_app(api_keys=tmp_path / "keys.jsonl")
    app.watchers.append(Watcher())
    answers = ask(app, frame(), *[frame(**{"x-api-key": key}) for _ in range(8)])
    problem(answers[0], "unauthorized")
    codes = [answer.status_code for answer in answers[1:]]
    assert codes[0] == 200 and 429 in codes
    seen = Watcher.observed[0]
    assert (seen.route, seen.caller, seen.request_id) == ("/v1/frames", "line 3", answers[1].json()["request_id"])
    count = sum(map(len, answers[1].json()["tiles"]["labels"]))
    assert seen.tiles.shape == (count, 1, 96, 96) and len(seen.verdicts) == count


def test_a_filter_holds_for_frames_too(make_app):
    exact, told = (ask(make_app(output=output), frame())[0].json() for output in (None, "top1"))
    assert [d["box"] for d in told["defects"]] == [d["box"] for d in exact["defects"]]
    assert {d["probability"] for d in told["defects"]} <= {0.0, 0.8}


def test_requests_are_counted_by_route(make_app):
    from cvprod.serving import metrics

    app = make_app()
    ask(app, frame())
    assert 'route="/v1/frames"' in metrics.expose().decode()


def test_inspect_says_how_it_took_the_picture(make_app):
    tile = hostile.encode(FRAME.image[:96, :96], "PNG")
    squashed, plain, form, turn = ask(
        make_app(),
        ("/v1/inspect", frame()[1]),
        ("/v1/inspect", frame(tile)[1]),
        ("/v1/inspect", {"files": [("images", PNG), ("images", b"nonsense"), ("images", tile)]}),
        ("/v1/inspect", frame(turned(FRAME.image, 6))[1]),
    )
    whole = {"width": 1500, "height": 300, "resized": True, "squashed": True}
    small = {"width": 96, "height": 96, "resized": False, "squashed": False}
    assert squashed.json()["picture"] == turn.json()["picture"] == whole
    assert plain.json()["picture"] == small
    rows = form.json()["images"]
    assert rows[0]["picture"] == whole and rows[2]["picture"] == small and "picture" not in rows[1]


def test_the_grid_comes_from_the_contract_and_can_be_set(make_app):
    assert (Settings().tile_pixels, Settings().tile_overlap) == (
        LIMITS.line.tile_pixels, LIMITS.line.tile_overlap_pixels,
    )  # fmt: skip
    (answer,) = ask(make_app(tile_pixels=150, tile_overlap=0), frame())
    assert answer.json()["tiles"]["x"] == list(range(0, 1500, 150)) and answer.json()["tiles"]["y"] == [0, 150]
    with pytest.raises(SettingsError, match=r"--tile-overlap .* less than a tile, 50 pixels"):
        load(["--tile-pixels", "50"], {})


def test_overload_refuses_frames_as_it_refuses_pictures(make_app):
    app = make_app(latency_budget_ms=1)

    async def work():
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            answers = await asyncio.gather(*[client.post(frame()[0], **frame()[1]) for _ in range(6)])
        return [answer.status_code for answer in answers]

    codes = asyncio.run(work())
    assert 200 in codes and 429 in codes and set(codes) == {200, 429} and app.engine.idle


def test_the_document_describes_the_route(make_app):
    document = make_app().api.openapi()
    answer = document["paths"]["/v1/frames"]["post"]["responses"]["200"]["content"]["application/json"]["schema"]
    schema = document["components"]["schemas"][answer["$ref"].rpartition("/")[2]]
    assert {"frame", "defects", "tiles"} <= set(schema["required"])
    assert "frames" in document["components"]["schemas"]["Picture"]["properties"]["squashed"]["description"]


# --- the other doors ---


def test_the_stream_takes_frames(make_app):
    from starlette.testclient import TestClient
    from starlette.websockets import WebSocketDisconnect

    app = make_app()
    with TestClient(app) as client:
        plain = client.post("/v1/frames", content=PNG, headers={"content-type": "image/png"}).json()
        with client.websocket_connect("/v1/stream?policy=all&cut=true") as socket:
            for data in (PNG, b"nonsense", PNG):
                socket.send_bytes(data)
            first, bad, last = (socket.receive_json() for _ in range(3))
        with pytest.raises(WebSocketDisconnect), client.websocket_connect("/v1/stream?cut=maybe") as socket:
            socket.receive_json()
    assert first["defects"] == last["defects"] == plain["defects"] and first["size"] == plain["frame"]
    assert (first["frame"], last["frame"]) == (0, 2) and bad["problem"]["type"] == "/problems#image-unsupported"


def test_grpc_takes_frames(service):
    from tritonclient import grpc as triton
    from tritonclient.utils import InferenceServerException

    def infer(data, shape=(1,)):
        given = triton.InferInput("frame", list(shape), "BYTES")
        given.set_data_from_numpy(np.array([data] * shape[0], object))
        return client.infer("steel_frames", [given])

    rest = json.loads(service.post(PNG, "/v1/frames", "image/png"))["defects"]
    with triton.InferenceServerClient(f"127.0.0.1:{service.grpc_port}") as client:
        assert client.is_model_ready("steel_frames")
        assert client.get_model_metadata("steel_frames").inputs[0].name == "frame"
        found = infer(PNG)
        assert found.as_numpy("boxes").tolist() == [d["box"] for d in rest] != []
        assert [label.decode() for label in found.as_numpy("labels")] == [d["label"] for d in rest]
        assert found.as_numpy("probabilities") == pytest.approx([d["probability"] for d in rest], abs=1e-4)
        assert found.as_numpy("review").tolist() == [d["review"] for d in rest]
        clean = infer(hostile.encode(np.full((300, 400), 120, np.uint8), "PNG"))
        assert len(clean.as_numpy("boxes")) == len(clean.as_numpy("labels"))
        for bad, words in ((b"nonsense", "image-unsupported"), (b"", "body-empty")):
            with pytest.raises(InferenceServerException, match=words):
                infer(bad)
        with pytest.raises(InferenceServerException, match="invalid-request"):
            infer(PNG, (2,))


# --- how well it finds ---


def test_defects_are_found_and_most_boxes_are_right(model):
    line = LIMITS.line
    options = {"tile": line.tile_pixels, "overlap": line.tile_overlap_pixels}
    score = localisation.measure(model, surface.frames(24, seed=9, width=2000), **options)
    assert len(score.found) >= 30 and score.recall > 0.75 and score.precision > 0.6
    assert score.sure_precision > score.precision and score.mean_iou > 0.2
    blind = localisation.Score()
    for given in surface.frames(6, seed=9, width=2000):
        blind.add(given, [])
    assert blind.recall == 0 and blind.mean_iou == 0 and np.isnan(blind.precision)


def test_more_overlap_makes_boxes_tighter(model):
    """And finds no fewer, but for those whose centre a tighter box just misses."""
    many = list(surface.frames(20, seed=21, width=2000, defects=3))
    plain, lapped = (localisation.measure(model, many, tile=224, overlap=overlap) for overlap in (0, 112))
    assert lapped.mean_iou > plain.mean_iou + 0.02 and lapped.recall > plain.recall - 0.1


def test_the_command_prints_recall_and_precision(capsys):
    assert main(["frames", "--count", "3", "--seed", "4"]) == 0
    said = capsys.readouterr().out
    assert "3 frames" in said and "recall by centre" in said and "precision by centre" in said
    with pytest.raises(SystemExit):
        main(["frames", "--count", "0"])
    assert "--count is at least 1" in capsys.readouterr().err


def test_a_service_answers_a_line_cameras_frame(service):
    from cvprod.serving.tiling import iou

    whole = surface.make_frame(2, ["patches", "crazing", "pitted_surface"])
    found = json.loads(service.post(hostile.encode(whole.image, "JPEG", quality=90), "/v1/frames"))
    boxes = np.array([d["box"] for d in found["defects"]])
    assert found["frame"] == {"width": 4096, "height": 300} and (iou(whole.boxes, boxes).max(axis=1) > 0.1).all()
