"""Two processes: tests run beside each other and beside most cells, but nothing beside what measures time."""

import os
import re
import subprocess
import sys
import threading
import time
from collections import OrderedDict
from random import Random
from types import SimpleNamespace

import nbformat
import pytest

from cvprod.book import notebooks
from cvprod.book.pytest_turns import BRIEF, LONG, LONGEST_BRIEF, SLOW, ByFile, Turns

NOTE = """
import os, time
from pathlib import Path
def note(name):
    begun = time.time()
    time.sleep(0.4)
    with Path("notes.txt").open("a") as file:
        file.write(f"{name} {begun} {time.time()} {os.environ.get('OMP_NUM_THREADS')}\\n")
"""
MEET = """
def test_meets_the_other():
    Path("MINE").touch()
    end = time.monotonic() + 30
    while not Path("OTHER").exists():
        assert time.monotonic() < end, "nobody ran beside this test"
        time.sleep(0.02)
"""
TESTS = """
import pytest
@pytest.mark.alone
def test_alone():
    note("alone")
def test_shared():
    assert int(os.environ["GOMP_SPINCOUNT"]) <= 10_000
    note("shared")
"""


def run(folder, paths=(".",), processes=2, **environment):
    """pytest in a few processes over `folder`: what it printed, and the notes as (name, from, to, threads)."""
    (folder / "notes.txt").touch()
    (folder / "pytest.ini").write_text("[pytest]\nmarkers = alone\n")
    command = [sys.executable, "-m", "pytest", "-p", "xdist", "-p", "nbval.plugin", "-p", "cvprod.book.pytest_turns"]
    command += ["-n", str(processes), "--no-loadscope-reorder", "--nbval-lax", "--nbval-current-env", *paths]
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST_", "OMP_NUM", "GOMP_"))}
    environment = kept | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"} | environment  # they take seconds to import
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=300, check=False, env=environment
    )
    rows = [line.split() for line in (folder / "notes.txt").read_text().splitlines()]
    return done, [(name, float(begun), float(ended), threads) for name, begun, ended, threads in rows]


def test_side_by_side_and_alone(tmp_path):
    # The chapter goes to one process and a to the other, where they meet; then b and c.
    (tmp_path / "test_a.py").write_text(NOTE + MEET.replace("MINE", "a").replace("OTHER", "chapter") + TESTS)
    for name in "bc":
        (tmp_path / f"test_{name}.py").write_text(NOTE + TESTS)
    meet = MEET.replace("MINE", "chapter").replace("OTHER", "a")
    first = f"{NOTE}\n{meet}\ntest_meets_the_other()"
    timed = [nbformat.v4.new_code_cell("note('cell')", metadata={"tags": ["timed"]}) for _ in range(2)]
    cells = [nbformat.v4.new_code_cell(first), *timed]
    notebooks.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "chapter.ipynb")
    done, notes = run(tmp_path, OMP_NUM_THREADS="3")
    assert done.returncode == 0 and "10 passed" in done.stdout, done.stdout + done.stderr
    assert sorted(name for name, *_ in notes) == ["alone"] * 3 + ["cell"] * 2 + ["shared"] * 3
    for name, begun, ended, threads in notes:
        assert threads == ("1" if name == "shared" else "3")
        beside = [n for n, b, e, _ in notes if (b, e) != (begun, ended) and b < ended and begun < e]
        assert name == "shared" or not beside, f"{beside} ran beside {name}"
    chapter = [(begun, ended) for name, begun, ended, _ in notes if name == "cell"]
    between = [n for n, b, *_ in notes if n != "cell" and min(chapter)[0] < b < max(chapter)[1]]
    assert not between, f"{between} ran between two cells of a chapter"


def test_quick_cells_between_keep_the_machine_and_a_long_one_lets_others_in(tmp_path):
    long = "import time; Path('long').touch()\nwhile not Path('came').exists(): time.sleep(0.05)"
    sources = [
        f"{NOTE}\nPath('chapter').touch()",
        "note('cell')",
        "note('quick')",
        "note('cell')",
        long,
        "note('cell')\nPath('over').touch()",
    ]
    tags = {"tags": ["timed"]}
    cells = [nbformat.v4.new_code_cell(source, metadata=tags if "'cell'" in source else {}) for source in sources]
    notebooks.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "chapter.ipynb")
    looks = """
import pytest
@pytest.mark.parametrize("turn", range(80))
def test_looks(turn):
    while not Path("chapter").exists():
        time.sleep(0.02)
    if Path("long").exists():
        Path("came").touch()
    if not Path("over").exists():  # after that there is nothing to see
        note("look")
"""
    (tmp_path / "test_a.py").write_text(NOTE.replace("0.4", "0.1") + looks)
    done, notes = run(tmp_path)
    assert done.returncode == 0 and "86 passed" in done.stdout, done.stdout + done.stderr
    own = [(begun, ended) for name, begun, ended, _ in notes if name != "look"]
    assert len(own) == 4
    looked = [(begun, ended) for name, begun, ended, _ in notes if name == "look"]
    assert not [1 for b, e in own for begun, ended in looked if begun < e and b < ended]
    second, third = own[2][1], own[3][0]  # the long cell is between them
    assert [begun for begun, _ in looked if second < begun < third]
    assert not [begun for begun, _ in looked if own[0][0] < begun < second]  # two cells and what is between


def test_the_site_comes_after_the_chapters_and_before_the_rest(tmp_path):
    (tmp_path / "tests" / "site").mkdir(parents=True)
    (tmp_path / "notebooks").mkdir()
    for name, seconds in (("01_a", 1.5), ("02_b", 2.5), ("ledger", 0)):
        end = f"import time; time.sleep({seconds}); open('../{name}', 'w').write('')"
        cells = [nbformat.v4.new_code_cell(source) for source in ("1", "2", "3", end)]
        notebooks.write(nbformat.v4.new_notebook(cells=cells), tmp_path / f"notebooks/{name}.ipynb")
    log = "from pathlib import Path\ndef note(name):\n    with Path('order').open('a') as f: f.write(name)\n"
    there = (
        "def test_all():\n    note('s')\n    assert {'01_a', '02_b', 'ledger'} <= {p.name for p in Path().iterdir()}\n"
    )
    (tmp_path / "tests/site/test_site.py").write_text(log + there)
    wait = "import time\ndef wait():\n    if 's' not in Path('order').read_text():\n        time.sleep(0.5)\n"
    for number in range(60):  # enough for half a minute, if the kernels start slowly
        few = f"def test_{number}():\n    wait()\n    note('.')\n"
        (tmp_path / f"tests/test_{number}.py").write_text(log + wait + few)
    (tmp_path / "order").touch()
    done, _ = run(tmp_path, ["notebooks", "tests"], processes=3)
    assert done.returncode == 0 and "73 passed" in done.stdout, done.stdout + done.stderr
    assert "s" in (tmp_path / "order").read_text()[:-1], "the site came last"


class Node:
    """What stands for a process that runs tests: what it was given, and whether it was told to end."""

    def __init__(self, name):
        self.name, self.given, self.shutting_down = name, [], False
        self.gateway = SimpleNamespace(id=name)

    def send_runtest_some(self, indices):
        self.given += indices

    def shutdown(self):
        self.shutting_down = True


def scheduling(collection, processes):
    """A scheduler that has begun to hand out the tests in `collection`, and its processes."""
    config = SimpleNamespace(option=SimpleNamespace(loadscopereorder=False))
    scheduler = ByFile.__new__(ByFile)
    scheduler.numnodes, scheduler.collection, scheduler.config = processes, None, config
    scheduler.workqueue, scheduler.assigned_work, scheduler.registered_collections = OrderedDict(), {}, {}
    scheduler.log = lambda *_: None
    nodes = [Node(n) for n in range(processes)]
    for node in nodes:
        scheduler.add_node(node)
    for node in nodes:
        scheduler.add_node_collection(node, collection)
    scheduler.schedule()
    return scheduler, nodes


def play(units, processes, seconds):
    """Hand out units (name -> number of tests) to so many processes, whose tests take seconds(unit): who ran what when.

    As pytest-xdist does, a process runs its last test only when it has been given more or told to end.
    """
    collection = [f"{unit}::{n}" for unit, count in units.items() for n in range(count)]
    scheduler, nodes = scheduling(collection, processes)
    now, running, ran = 0.0, {}, []
    while True:
        for node in nodes:
            ready = len(node.given) > 1 or (node.given and node.shutting_down)
            if node not in running and ready:
                index = node.given.pop(0)
                running[node] = (now + seconds(collection[index].split("::")[0]), index, now)
        if not running:
            break
        node = min(running, key=lambda one: running[one][0])
        now, index, begun = running.pop(node)
        ran.append((collection[index].split("::")[0], node.name, begun, now))
        if node in scheduler.assigned_work:
            scheduler.mark_test_complete(node, index)
        if scheduler.tests_finished:  # pytest-xdist then ends them all
            for node in nodes:
                node.shutdown()
    assert len(ran) == len(collection), "some tests never ran: processes wait for each other"
    return ran


@pytest.mark.parametrize("processes", [1, 2, 3, 4])
@pytest.mark.parametrize("tests", [0, 1, 40])
@pytest.mark.parametrize("turn", range(3))
def test_twelve_chapters_are_handed_out_one_by_one_and_the_site_follows(processes, tests, turn):
    random = Random(turn)
    takes = {f"notebooks/{n:02}_x.ipynb": random.uniform(0.2, 3) for n in range(1, 13)}
    units = {name: random.randint(1, 40) for name in takes} | {"notebooks/ledger.ipynb": 3}
    files = {f"tests/test_{n}.py": random.randint(1, 30) for n in range(tests)}
    units |= files | {"tests/site/test_a.py": 5, "tests/site/test_b.py": 4}
    ran = play(units, processes, lambda unit: takes.get(unit, 0.3))
    chapters = [row for row in ran if row[0] in takes]
    site = [row for row in ran if row[0].startswith("tests/site") or "ledger" in row[0]]
    assert min(begun for *_, begun, _ in site) >= max(ended for *_, ended in chapters)
    assert len({name for _, name, *_ in site}) == 1
    for moment in sorted(begun for *_, begun, _ in chapters):
        together = {unit for unit, _, begun, ended in chapters if begun <= moment < ended}
        assert len(together) <= max(2, processes - 1)
    if processes == 2 and not tests:  # neither process waits while a chapter waits
        busy = sum(ended - begun for *_, begun, ended in chapters)
        longest = max(units[name] * seconds for name, seconds in takes.items())
        assert max(ended for *_, ended in chapters) <= busy / 2 + longest


def test_a_process_that_dies_is_replaced_and_what_it_left_is_run(tmp_path):
    dies = """
def test_before():
    time.sleep(1)
def test_dies():
    os._exit(3)
def test_after():
    note("after")
"""
    (tmp_path / "test_a.py").write_text(NOTE + dies)
    for name in "bcd":  # the others go on, and finish tests while the new process still collects
        many = "import pytest\n@pytest.mark.parametrize('n', range(60))\ndef test_go_on(n):\n    time.sleep(0.1)\n"
        (tmp_path / f"test_{name}.py").write_text(NOTE + many)
    dead = [nbformat.v4.new_code_cell(source) for source in ("1", "2", "3")]
    notebooks.write(nbformat.v4.new_notebook(cells=dead), tmp_path / "chapter.ipynb")
    done, notes = run(tmp_path, processes=3)
    assert "INTERNALERROR" not in done.stdout, done.stdout
    assert "crashed while running 'test_a.py::test_dies'" in done.stdout
    assert "1 failed, 185 passed" in done.stdout, done.stdout
    assert [name for name, *_ in notes] == ["after"]


def test_the_cells_after_the_one_that_a_process_died_in_are_not_run(tmp_path):
    units = {"notebooks/01_x.ipynb": 4, "tests/test_a.py": 3}
    collection = [f"{unit}::{n}" for unit, count in units.items() for n in range(count)]
    scheduler, (dead, other) = scheduling(collection, processes=2)
    assert scheduler.remove_node(dead) == "notebooks/01_x.ipynb::0"
    assert not [n for n in other.given if collection[n].startswith("notebooks")]
    assert "notebooks/01_x.ipynb" not in scheduler.workqueue


def test_the_end_says_where_the_time_went(tmp_path):
    slow = "import time\n@__import__('pytest').mark.alone\ndef test_slow():\n    time.sleep(0.6)\n"
    (tmp_path / "test_slow.py").write_text(slow)
    (tmp_path / "test_quick.py").write_text("def test_quick():\n    pass\n")
    done, _ = run(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    _, _, told = done.stdout.partition("where the time went")
    lines = [line.split() for line in told.splitlines() if " s  " in line]
    assert [line[-1] for line in lines[:2]] == ["test_slow.py", "test_quick.py"] and float(lines[0][0]) >= 0.6
    assert re.search(r"; [1-9]\d* s of it alone on the machine, \d+ s of waiting", told)


def test_brief_ones_go_on_while_one_waits_for_a_long_one(tmp_path):
    long = f"""
def test_slow():  # the first test of a file counts as brief; after this one they do not
    time.sleep({LONGEST_BRIEF} + 0.2)
def test_long():
    Path("long").touch()
    end = time.monotonic() + 120
    while not Path("passed").exists():
        assert time.monotonic() < end, "nobody ran in the meantime"
        time.sleep(0.02)
    note("long")
"""
    waits = """
import pytest
def test_first():
    while not Path("long").exists():
        time.sleep(0.02)
    Path("waits").touch()
@pytest.mark.alone
def test_alone():
    note("alone")
"""
    brief = """
import pytest
@pytest.mark.parametrize("turn", range(200))
def test_brief(turn):
    if not Path("passed").exists():
        time.sleep(0.2)
    if Path("waits").exists() and time.time() > Path("waits").stat().st_mtime + 1:
        Path("passed").touch()
"""
    for name, text in (("a", long), ("b", waits), ("c", brief)):
        (tmp_path / f"test_{name}.py").write_text(NOTE + text)
    done, notes = run(tmp_path, processes=3)
    assert done.returncode == 0 and "204 passed" in done.stdout, done.stdout + done.stderr
    ended = {name: end for name, _, end, _ in notes}
    assert next(begun for name, begun, *_ in notes if name == "alone") >= ended["long"]


@pytest.mark.parametrize(("held", "go_in"), [(SLOW, [LONG, BRIEF]), (LONG, [BRIEF]), (BRIEF, [])])
def test_who_waits_for_it_alone_is_overtaken_only_by_what_is_quicker(tmp_path, held, go_in):
    turns, order = Turns(tmp_path / "lock"), []

    def alone():
        with turns.alone():
            order.append("alone")

    def late():
        with turns.share(held):
            order.append("late")

    with turns.share(held):
        for target in (alone, late):
            thread = threading.Thread(target=target)
            thread.start()
            time.sleep(0.3)
        assert order == []  # one waits for us, the other behind it
        for kind in go_in:
            with turns.share(kind):
                pass
    end = time.monotonic() + 10
    while len(order) < 2 and time.monotonic() < end:
        time.sleep(0.01)
    assert order == ["alone", "late"]
    turns.remove()
    assert not list(tmp_path.iterdir())


def test_who_measures_time():
    cells = [nbformat.v4.new_code_cell("x", metadata={"tags": tags}) for tags in ([], ["timed"], ["untimed"])]
    assert [notebooks.measures_time(cell) for cell in cells] == [False, True, False]
