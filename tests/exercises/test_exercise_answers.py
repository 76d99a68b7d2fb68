"""Every exercise gives full points to right answers, none to a stub, and takes them away for planted mistakes.

``wrong/EXERCISE/QUESTION__MISTAKE.py`` holds mistakes that students make, ``right/`` other ways to be right.
"""

from collections import Counter
from pathlib import Path

import pytest
from in_process import mark_answer, marks

from cvprod.book import notebooks
from cvprod.exercises.course import discover

HERE = Path(__file__).parent
EXERCISES = {exercise.name: exercise for exercise in discover()}
QUESTIONS = [(name, question.title) for name, e in EXERCISES.items() for question in e.questions]


def answers(kind):
    """Yield (exercise's name, question, path) for every file in wrong/ or right/."""
    for path in sorted((HERE / kind).glob("*/*.py")):
        yield pytest.param(path.parent.name, path.stem.partition("__")[0], path, id=f"{path.parent.name}-{path.stem}")


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Two threads on tensors this small only fight over a busy machine."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("name", EXERCISES)
def test_solution_scores_everything_and_the_stub_nothing(name):
    exercise = EXERCISES[name]
    solved = marks(exercise, exercise.source)
    assert {q: (m.points, m.reason) for q, m in solved.items()} == {q: (m.maximum, "") for q, m in solved.items()}
    stub = marks(exercise, notebooks.read(exercise.release_path))
    assert {q: (m.points, m.reason) for q, m in stub.items()} == dict.fromkeys(solved, (0, "not answered"))


@pytest.mark.parametrize(("name", "question"), QUESTIONS)
def test_question_stands_alone(name, question):
    """A mistake in one answer must not cost the points of another."""
    result = mark_answer(EXERCISES[name], EXERCISES[name].source, question)
    assert result.points == result.maximum, result.reason


@pytest.mark.parametrize(("name", "question", "path"), answers("wrong"))
def test_wrong_answer_loses_its_points(name, question, path):
    result = mark_answer(EXERCISES[name], EXERCISES[name].source, question, path.read_text())
    assert result.points == 0
    assert result.reason.startswith(("AssertionError", "RuntimeError", "ValueError", "IndexError")), (
        f"refused for another reason than being wrong: {result.reason}"
    )


@pytest.mark.parametrize(("name", "question", "path"), answers("right"))
def test_another_right_answer_keeps_its_points(name, question, path):
    result = mark_answer(EXERCISES[name], EXERCISES[name].source, question, path.read_text())
    assert result.points == result.maximum, result.reason


def test_every_question_has_wrong_answers():
    count = Counter(param.values[:2] for param in answers("wrong"))
    assert set(count) == set(QUESTIONS), (
        "a file's name must be QUESTION__MISTAKE.py, in a folder named like the exercise"
    )
    assert min(count.values()) >= 2


def test_every_exercise_has_three_other_right_answers():
    """Tests that know one way only would punish a student for having found another."""
    count = Counter(param.values[0] for param in answers("right"))
    assert set(count) == set(EXERCISES) and min(count.values()) >= 3, min(count, key=count.get)


@pytest.mark.parametrize("name", EXERCISES)
def test_hidden_tests_are_needed(name):
    """Some mistakes pass all that the student can see; otherwise the hidden tests would repeat the visible ones."""
    release = notebooks.read(EXERCISES[name].release_path)
    passed = [
        param.id
        for param in answers("wrong")
        if param.values[0] == name
        and mark_answer(EXERCISES[name], release, param.values[1], param.values[2].read_text()).points
    ]
    assert passed
