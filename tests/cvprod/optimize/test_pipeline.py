"""The pipeline as one function, the shipped files, and the side-by-side comparison."""

import json
import shutil
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from cvprod.measure import Latency
from cvprod.models import Evaluation, WeightsError, evaluate, predictor
from cvprod.optimize import compare, fuse, pipeline, search, train, zoo
from cvprod.optimize.__main__ import main as optimize_command
from cvprod.optimize.distill import TrainingSet
from cvprod.optimize.pipeline import PipelineConfig, book_tiles, int8, run_pipeline
from cvprod.optimize.student import student, widths
from cvprod.surface import TileSet, make_set


@pytest.fixture(scope="module")
def tiles():
    return make_set(140, 77)


@pytest.fixture(scope="module")
def made(tiles, tmp_path_factory):
    torch.manual_seed(0)
    teacher = student(16, (16,), (16,)).eval()
    data = TrainingSet(tiles.images, tiles.labels, predictor(teacher)(tiles.images))
    config = PipelineConfig(steps=8, tune_steps=8, batch=32, calibration=32, prune_ratio=0.5)
    return run_pipeline(config, teacher=teacher, data=data, test=tiles[:70], folder=tmp_path_factory.mktemp("p"))


def test_steps_come_in_order_and_each_is_judged(made):
    assert [step.name for step in made.steps] == ["teacher", "distilled", "pruned", "fine-tuned", "int8"]
    assert all(step.evaluation.n == 70 and step.size_bytes > 0 for step in made.steps)
    assert made["pruned"].parameters < 0.5 * made["distilled"].parameters
    assert made["int8"].size_bytes < 0.5 * made["fine-tuned"].size_bytes


def test_tuning_leaves_the_pruned_step_as_it_was(made, tiles):
    images = tiles.images[:8]
    assert not np.array_equal(made["pruned"].predict(images), made["fine-tuned"].predict(images))
    np.testing.assert_array_equal(predictor(made.pruned)(images), made["fine-tuned"].predict(images))


def test_the_file_is_the_last_step_and_takes_bytes_in_any_batch(made, tiles):
    predict = fuse.onnx_predict(made.path)
    for n in (1, 5):
        one, truth = predict(tiles.images[:n]), made["fine-tuned"].predict(tiles.images[:n])
        assert one.shape == (n, 7) and np.abs(one - truth).max() < 0.25 * np.ptp(truth) + 0.05
    kinds = fuse.operators(made.path, level="all")
    assert kinds["QLinearConv"] and not kinds["Conv"] and not kinds["QuantizeLinear"]  # bytes arrive quantised


def test_shipped_students_and_file_load():
    for name in zoo.STUDENTS:
        model = zoo.load_student(name)
        assert not model.training and model(torch.zeros(1, 1, 96, 96)).shape == (1, 7)
    path = zoo.pipeline_path()
    total = sum(p.stat().st_size for p in zoo.WEIGHTS.iterdir())
    assert path.stat().st_size < 900_000 and total < 2_000_000


def test_shipped_file_is_the_pruned_student_in_int8(tiles):
    whole, deployed = predictor(zoo.load_student("student_pruned")), fuse.onnx_predict(zoo.pipeline_path())
    same = whole(tiles.images).argmax(1) == deployed(tiles.images).argmax(1)
    assert same.mean() >= 0.97


def test_students_beat_chance_by_far(tiles):
    for predict in (predictor(zoo.load_student("student")), fuse.onnx_predict(zoo.pipeline_path())):
        assert (predict(tiles.images).argmax(1) == tiles.labels).mean() > 0.88


def test_damaged_and_missing_files_name_the_remedy(tmp_path, monkeypatch):
    monkeypatch.setattr(zoo, "WEIGHTS", tmp_path)
    with pytest.raises(WeightsError, match=r"missing.*python -m cvprod\.optimize train"):
        zoo.pipeline_path()
    with pytest.raises(WeightsError, match=r"missing.*python -m cvprod\.optimize train"):
        zoo.load_student("student")
    source = tmp_path / "x.onnx"
    source.write_bytes(b"graph")
    zoo.save_pipeline(source, {"metrics": {}}, folder=tmp_path)
    assert zoo.pipeline_path().read_bytes() == b"graph"
    (tmp_path / "pipeline.onnx").write_bytes(b"grapf")
    with pytest.raises(WeightsError, match="sha256"):
        zoo.pipeline_path()
    with pytest.raises(ValueError, match="student_pruned"):
        zoo.load_student("professor")


CARDS = ["", "[]", "{}", "null", "7", '{"file": null}', '{"file": {}}', '{"file": {"sha256": null}}', "[" * 100_000]


@pytest.mark.parametrize("text", CARDS)
def test_a_damaged_card_of_the_pipeline_is_refused(tmp_path, monkeypatch, text):
    monkeypatch.setattr(zoo, "WEIGHTS", tmp_path)
    (tmp_path / "pipeline.onnx").write_bytes(b"graph")
    (tmp_path / "pipeline.json").write_text(text)
    for read in (zoo.pipeline_path, zoo.pipeline_card):
        with pytest.raises(WeightsError, match=r"pipeline\.json: not a card.*`python -m cvprod\.optimize train`"):
            read()


SHAPES = [
    7,
    [],
    {"stem": 8},
    {"stem": "8", "hidden": [8], "outputs": [8]},
    {"stem": 8, "hidden": [8, 8], "outputs": [8]},
    {"stem": 8, "hidden": [], "outputs": []},
    {"stem": 8, "hidden": [0], "outputs": [8]},
    {"stem": 8, "hidden": [8.5], "outputs": [8]},
    {"stem": 10**12, "hidden": [8], "outputs": [8]},
    {"stem": 8, "hidden": [8], "outputs": [8], "depth": 3},
]


@pytest.mark.parametrize("text", [*CARDS, *(json.dumps({"training": {"command": "x", "shape": s}}) for s in SHAPES)])
def test_a_damaged_card_of_a_student_is_refused(tmp_path, monkeypatch, text):
    monkeypatch.setattr(zoo, "WEIGHTS", tmp_path)
    shutil.copy(Path(zoo.__file__).parent / "weights" / "student.safetensors", tmp_path)
    (tmp_path / "student.json").write_text(text)
    with pytest.raises(WeightsError, match=r"student\.json: not a card.*`python -m cvprod\.optimize train`"):
        zoo.load_student("student")


def test_a_student_of_other_widths_survives_the_file(tmp_path, monkeypatch):
    shape = {"stem": 24, "hidden": (8, 16), "outputs": (24, 32)}
    card = {key: {} for key in ("description", "intended_use", "limits", "data", "metrics")}
    model = student(**shape).eval()
    monkeypatch.setattr(zoo, "WEIGHTS", tmp_path)
    zoo.save_student("student_pruned", model, {**card, "training": {"command": zoo.COMMAND}}, folder=tmp_path)
    back = zoo.load_student("student_pruned")
    assert widths(back) == shape
    x = torch.rand(2, 1, 96, 96) * 255
    torch.testing.assert_close(back(x), model(x), atol=5e-2, rtol=5e-2)  # float16 on the way


def test_judge_sees_the_planted_slow_and_the_planted_wrong(tiles):
    def perfect(images):
        return np.eye(7, dtype=np.float32)[_labels(images, tiles)]

    def slow(images):
        time.sleep(0.004)
        return perfect(images)

    rows = [compare.Candidate("baseline", slow, 1000), compare.Candidate("wrong", lambda x: -perfect(x), 100)]
    rows.append(compare.Candidate("pipeline", perfect, 50))
    table = compare.judge(rows, compare.race(rows, tiles.images[:1], repeats=20), tiles, tiles={"wrong": 35})
    assert list(table.index) == ["baseline", "wrong", "pipeline"] and table.speedup["pipeline"] > 3
    assert table.accuracy["baseline"] == 1 and table.accuracy["wrong"] == 0
    assert table.n_tiles["wrong"] == 35 and table["shrink"]["pipeline"] == pytest.approx(20)
    assert list(table.difference) == [0, -1, 0] and table.difference_high["wrong"] < -0.8


def test_judge_compares_on_the_same_tiles(tiles):
    """The baseline fails on the later tiles only; one that is judged on the first ones is no better for it."""

    def hard(images):
        right = np.eye(7, dtype=np.float32)[_labels(images, tiles)]
        late = np.array([(tiles.images[70:] == image).all(axis=(1, 2, 3)).any() for image in images])
        return np.where(late[:, None], -right, right)

    rows = [compare.Candidate("baseline", hard, 1), compare.Candidate("few", lambda x: hard(x), 1)]
    timed = {row.name: Latency(np.full(5, 0.001)) for row in rows}
    table = compare.judge(rows, timed, tiles, tiles={"few": 35})
    assert table.accuracy["few"] == 1 > table.accuracy["baseline"] == 0.5, "a trap for who compares these"
    few = table.loc["few"]
    assert few.difference == 0 and -0.12 < few.difference_low < 0 < few.difference_high < 0.12
    assert (table.loc["baseline", ["difference", "difference_low", "difference_high"]] == 0).all()


def _evaluation(right: np.ndarray) -> Evaluation:
    labels = np.arange(len(right)) % 7
    return Evaluation(np.where(right[:, None], 1, -1) * np.eye(7, dtype=np.float32)[labels], labels)


def test_the_interval_of_a_difference_covers_the_truth_as_often_as_it_says():
    rng, truth, hits = np.random.default_rng(5), -0.02, 0
    for _ in range(400):
        draw = rng.random(300)  # 94 % both right, 1 % only the candidate, 3 % only the baseline, 2 % both wrong
        candidate, baseline = draw < 0.95, (draw < 0.94) | ((draw >= 0.95) & (draw < 0.98))
        _, low, high = compare.difference(_evaluation(candidate), _evaluation(baseline))
        hits += low <= truth <= high
    assert hits / 400 > 0.92


def test_a_difference_needs_the_same_tiles_and_counts_disagreements_only():
    yes, no = np.ones(100, bool), np.arange(100) >= 10
    value, low, high = compare.difference(_evaluation(no), _evaluation(yes))
    assert value == pytest.approx(-0.1) and -0.2 < low < value < high < 0
    swapped = compare.difference(_evaluation(yes), _evaluation(no))
    assert swapped == pytest.approx((-value, -high, -low))
    assert compare.difference(_evaluation(no[:50]), _evaluation(yes)) == compare.difference(
        _evaluation(no[:50]), _evaluation(yes[:50])
    )
    same = compare.difference(_evaluation(no), _evaluation(no))
    assert same[0] == 0 and same[1] == pytest.approx(-same[2]) and 0 < same[2] < 0.05
    other = _evaluation(yes)
    shifted = Evaluation(other.logits, (other.labels + 1) % 7)
    with pytest.raises(ValueError, match="same tiles"):
        compare.difference(other, shifted)


def _labels(images: np.ndarray, tiles: TileSet) -> np.ndarray:
    return np.array([tiles.labels[(tiles.images == image).all(axis=(1, 2, 3)).argmax()] for image in images])


def test_a_note_says_how_long_a_shipped_network_was_trained(tmp_path, tiles):
    shop = compare.Workshop(tmp_path, tiles.images)
    recipe = zoo.card("student", folder=zoo.WEIGHTS)["training"]["recipe"]
    whole, tuned = recipe["steps"], recipe["tune_steps"]
    assert shop.make("distilled").note.endswith(f"; {whole:,} training steps")
    for name in ("structured", "pipeline"):
        assert shop.make(name).note.endswith(f"; {whole:,} + {tuned:,} training steps")


def test_a_file_of_the_caller_is_never_taken_for_a_shipped_network(tmp_path, tiles):
    (tmp_path / "student.onnx").write_bytes(b"somebody's own")
    found = compare.Workshop(tmp_path, tiles.images).make("distilled").predict(tiles.images[:4])
    assert np.allclose(found, predictor(zoo.load_student("student"))(tiles.images[:4]), atol=1e-3)
    assert (tmp_path / "student.onnx").read_bytes() == b"somebody's own"


def test_unknown_technique_lists_the_known(tmp_path, tiles):
    with pytest.raises(ValueError, match="ort_int8"):
        compare.Workshop(tmp_path, tiles.images).make("magic")


def test_search_finds_the_planted_trade_off(monkeypatch, tiles):
    """With latency and accuracy both growing with the widths, every fast-enough trial is kept, and pick takes one."""
    size = lambda shape: shape["stem"] + sum(shape["outputs"])  # noqa: E731
    monkeypatch.setattr(search, "latency_ms", lambda shape, *a, **k: size(shape) / 100)
    monkeypatch.setattr(search, "proxy_accuracy", lambda shape, *a, **k: 1 - 10 / size(shape))
    study = search.search(TrainingSet(tiles.images, tiles.labels), tiles, trials=12)
    sizes = {size(t.user_attrs["shape"]) for t in study.trials}
    assert {size(t.user_attrs["shape"]) for t in study.best_trials} == sizes and len(sizes) > 3
    chosen = search.pick(study, within=0.02)
    assert chosen.values[1] >= max(t.values[1] for t in study.trials) - 0.02
    assert all(t.values[0] >= chosen.values[0] for t in study.trials if t.values[1] >= chosen.values[1])


def test_a_wider_network_takes_longer(tmp_path):
    narrow, wide = (
        search.latency_ms({"stem": w, "hidden": (w, w), "outputs": (w, w)}, tmp_path / f"{w}.onnx", repeats=30)
        for w in (8, 64)
    )
    assert wide > 1.3 * narrow


def test_the_front_is_timed_anew_and_a_moment_that_was_busy_does_not_decide_it(monkeypatch, tiles):
    """A study in which every trial took the same time: the front knows better, from the networks themselves."""
    timed = search.latency_ms
    monkeypatch.setattr(search, "latency_ms", lambda *a, **k: 0 * timed(*a, repeats=1, **k) + 1)
    monkeypatch.setattr(search, "proxy_accuracy", lambda shape, *a, **k: 0.5)
    study = search.search(TrainingSet(tiles.images, tiles.labels), tiles, trials=4)
    assert len(study.best_trials) == 4
    found = search.front(study, repeats=40)
    assert list(found.index) == [0, 1, 2, 3] and list(found["shape"]) == [t.user_attrs["shape"] for t in study.trials]
    assert found.latency_ms.max() > 1.3 * found.latency_ms.min() and (found.accuracy == 0.5).all()
    assert found.on_front.sum() == 1 and found.on_front[found.latency_ms.idxmin()]


def test_int8_of_an_untrained_student_is_small(tmp_path, tiles):
    path = int8(student(16, (16,), (16,)), tmp_path / "a.onnx", tiles.images[:16])
    assert path.stat().st_size < 40_000


def test_a_board_becomes_ledger_rows():
    columns = {"p50_ms": [20.0, 0.2], "p99_ms": [25.0, 0.3], "size_bytes": [40, 1], "accuracy": [0.97, 0.96]}
    board = pd.DataFrame({**columns, "n_tiles": [2002, 2002], "note": ["eager", ""]}, index=["baseline", "pipeline"])
    first, last = compare.ledger_rows(2, board)
    assert (first.kind, last.kind, first.note) == ("baseline", "optimisation", "eager")
    assert (last.name, last.chapter, last.p50_ms, last.n_tiles) == ("pipeline", 2, 0.2, 2002)
    assert first.p99_ms is last.p99_ms is None, "of some dozens of calls it would be their maximum"


def test_a_rebuild_makes_every_file_with_the_widths_that_are_shipped(tmp_path, monkeypatch):
    config = PipelineConfig(tiles=64, steps=1, tune_steps=1, batch=32, calibration=16, test_tiles=35, threads=1)
    train.train_all(config, folder=tmp_path, progress=False)
    assert {f"{name}.safetensors" for name in zoo.STUDENTS} | {"pipeline.onnx"} < {p.name for p in tmp_path.iterdir()}
    shapes = [zoo.card("student_nas", folder=folder)["training"]["shape"] for folder in (tmp_path, zoo.WEIGHTS)]
    assert shapes[0] == shapes[1]
    monkeypatch.setattr(zoo, "WEIGHTS", tmp_path / "nothing")
    assert train._shipped_shape() is None  # then it is searched


def test_a_worse_rebuild_is_not_written_and_none_of_what_was_made_with_it(tmp_path, capsys):
    test, written = book_tiles("test", 70), []
    for name in zoo.STUDENTS:
        for ending in ("safetensors", "json"):
            shutil.copy(zoo.WEIGHTS / f"{name}.{ending}", tmp_path)
    good = evaluate(predictor(zoo.load_student("student")), test)
    bad = evaluate(lambda images: np.roll(predictor(zoo.load_student("student"))(images), 1, axis=1), test)
    made = [
        train.Made("student", bad, lambda folder: written.append("student")),
        train.Made("pipeline", good, lambda folder: written.append("pipeline")),
    ]
    assert not train.ship(made, test, tmp_path) and not written
    assert f"student has {bad.accuracy:.2%}" in capsys.readouterr().out
    assert train.ship(made[1:], test, tmp_path) and train.ship(made, test, tmp_path, force=True)
    assert written == ["pipeline", "student", "pipeline"]


@pytest.mark.parametrize("wrong", ["--tiles 1", "--steps 0", "--batch -1", "--threads 0", "--tune-steps 0"])
def test_a_rebuild_that_cannot_be_is_refused_before_it_begins(wrong, capsys):
    with pytest.raises(SystemExit) as end:
        optimize_command(["train", *wrong.split()])
    assert end.value.code == 2 and wrong[2:].split()[0].replace("-", "_") in capsys.readouterr().err


def test_shipped_files_are_verified_on_the_tiles_that_their_cards_speak_of(monkeypatch, capsys):
    monkeypatch.setenv("CVPROD_DATA", "/nowhere")
    assert optimize_command(["verify", "--tiles", "70"]) == 0
    assert capsys.readouterr().out.count("on 70 tiles: ok") == len(zoo.STUDENTS) + 1


def test_a_card_without_its_recipe_is_damaged(tmp_path, monkeypatch):
    card = json.loads((zoo.WEIGHTS / "pipeline.json").read_text()) | {"training": {}}
    (tmp_path / "pipeline.json").write_text(json.dumps(card))
    shutil.copy(zoo.WEIGHTS / "pipeline.onnx", tmp_path)
    monkeypatch.setattr(zoo, "WEIGHTS", tmp_path)
    with pytest.raises(WeightsError, match=r"training\.recipe"):
        compare.Workshop(tmp_path, np.zeros((1, 1, 96, 96), np.uint8)).make("pipeline")


def test_a_graph_that_is_there_saves_an_export_and_changes_no_byte_of_an_answer(made, tiles, tmp_path, monkeypatch):
    graph = fuse.export(made.student, tmp_path / "student.onnx")
    monkeypatch.setattr(pipeline, "export", lambda *_, **__: pytest.fail("exported again"))
    path = pipeline.int8(made.pruned, tmp_path / "pipeline.onnx", tiles.images[:32], graph=graph)
    usual = pipeline.onnx_predict(made.path)(tiles.images[:20])
    assert np.abs(pipeline.onnx_predict(path)(tiles.images[:20]) - usual).max() < 0.1 * np.ptp(usual) + 0.05
