"""The solutions' pages: what they say is read from source, tests and wrong answers, and is there for every question."""

import re

import pytest

from cvprod.exercises.course import COURSE, discover
from cvprod.exercises.solutions import WRONG, chapter, expected, solutions

EXERCISES = discover()
NOTEBOOKS = COURSE.parent / "notebooks"


@pytest.mark.parametrize("exercise", [e for e in EXERCISES if chapter(e)], ids=lambda exercise: exercise.name)
def test_every_question_has_its_reasons_its_marking_scheme_and_the_mistakes(exercise):
    for one in solutions(exercise):
        assert len(one.why.split()) >= 15, f"{one.question}: open its solution with a comment that says why it is right"
        assert one.visible and one.hidden and len(one.mistakes) >= 2, one.question
        compile(one.code, one.question, "exec")
        assert not re.search("SOLUTION|grade_id", one.code)
        assert one.why[:40] not in one.code, "the comment stands above the code, not in it"


def test_comments_within_a_solution_stay_in_it():
    (fold,) = [e for e in EXERCISES if e.prefix == "01c"]
    (one,) = [one for one in solutions(fold) if one.question == "cheapest"]
    assert "# False for NaN either way" in one.code


def test_messages_are_shown_once_in_order_and_without_values():
    test = 'assert a, f"{a} is not {b!r}"\nfor x in y:\n    assert x, "every one"\nassert z, "every one"\nassert c, c\n'
    assert expected(test) == ("... is not ...", "every one", "...")


def test_without_the_folder_of_mistakes_the_rest_is_there(tmp_path):
    (one, *_) = solutions(EXERCISES[0], tmp_path)
    assert one.why and not one.mistakes and WRONG.is_dir()


def test_every_chapter_links_its_exercises_and_each_of_them_links_back():
    for exercise in EXERCISES:
        if (number := chapter(exercise)) is None:
            continue
        (page,) = NOTEBOOKS.glob(f"{number:02}_*.ipynb")
        link = f"../exercises/release/{exercise.name}/{exercise.name}.ipynb"
        assert link in page.read_text(encoding="utf-8"), f"{page.name} does not link {exercise.name}"
        assert f"notebooks/{page.name}" in exercise.release_path.read_text(encoding="utf-8"), (
            f"{exercise.name} does not link back to {page.name}"
        )
