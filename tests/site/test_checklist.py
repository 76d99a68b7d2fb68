"""The checklist's script in a real browser: ticks that stay, progress that is told, and what can be taken along."""

import re

import pytest
from markdown_it import MarkdownIt

from cvprod.repo import ROOT

#: Two groups, in the markup that Sphinx gives to task lists.
ITEM = (
    '<ul class="contains-task-list simple" id="check-{id}"><li class="task-list-item"><p>'
    '<input class="task-list-item-checkbox" type="checkbox"> <strong>{text}</strong> Proof:\n'
    '<a class="reference internal" href="../notebooks/01.html#{id}"><span>The {id}</span></a>, '
    '<code><span class="pre">tests/{id}</span></code>.</p></li></ul>'
)
HEADING = '<h2>{0}<a class="headerlink" href="#{0}"><span>#</span></a></h2>'
GROUPS = {"First": ["one", "two"], "Second": ["three"]}
FOUND = "checklist.read(document.querySelector('article'))"
BOXES = "[...document.querySelectorAll('input.task-list-item-checkbox')]"


def page() -> str:
    groups = "".join(
        f'<section id="{title}">{HEADING.format(title)}'
        + "".join(ITEM.format(id=item, text=f"Item {item}.") for item in items)
        + "</section>"
        for title, items in GROUPS.items()
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>x</title>'
        '<link rel="icon" href="data:,"><link rel="canonical" href="https://example.org/book/checklist.html">'
        '<script src="checklist.js"></script></head>'
        f'<body><article><section id="all"><h1>The list<a class="headerlink" href="#all">#</a></h1>{groups}'
        "</section></article></body></html>"
    )


@pytest.fixture
def opened(browser, tmp_path):
    """The browser, with the page in it; `again()` opens it once more."""
    from chromium import Site

    (tmp_path / "checklist.js").write_bytes((ROOT / "book/_static/checklist.js").read_bytes())
    (tmp_path / "checklist.html").write_text(page())
    with Site(tmp_path) as site:

        def again():
            browser.open(f"{site.address}checklist.html")
            return browser

        yield again
        browser.run("localStorage.clear()")


def told(browser):
    """What the page says: progress as a whole and of each group."""
    return browser.run("document.querySelector('[role=status]').textContent"), browser.run(
        "[...document.querySelectorAll('.checklist-count')].map(e => e.textContent.trim())"
    )


def test_ticks_stay_and_progress_is_told(opened):
    browser = opened()
    assert told(browser) == ("0 of 3 shown", ["0/2", "0/1"])
    browser.run(f"{BOXES}[1].click()")
    browser.run(f"{BOXES}[2].click()")
    assert told(browser) == ("2 of 3 shown", ["1/2", "1/1"])
    browser = opened()
    assert browser.run(f"{BOXES}.map(box => box.checked)") == [False, True, True]
    assert told(browser) == ("2 of 3 shown", ["1/2", "1/1"])
    assert browser.run("document.querySelector('progress').value") == 2
    assert not browser.complaints()


def test_what_is_taken_along_is_the_list_with_its_ticks_and_whole_addresses(opened):
    browser = opened()
    browser.run(f"{BOXES}[2].click()")
    text = browser.run(f"checklist.markdown({FOUND}, 'The list', checklist.address())")
    assert text.startswith("# The list\n\n1 of 3 shown. From https://example.org/book/checklist.html\n")
    link = "[The three](https://example.org/notebooks/01.html#three)"
    assert f"## Second\n\n- [x] **Item three.** Proof: {link}, `tests/three`.\n" in text
    assert text.count("- [ ]") == 2
    kinds = [token.type for token in MarkdownIt().parse(text)]
    assert kinds.count("list_item_open") == 3 and kinds.count("heading_open") == 3


def test_the_template_has_every_item_and_no_tick(opened):
    browser = opened()
    browser.run(f"{BOXES}.forEach(box => box.click())")
    text = browser.run(f"checklist.template({FOUND}, 'The list', checklist.address())")
    head, body = re.fullmatch(r"---\n(.*?)\n---\n\n(.*)", text, re.S).groups()
    assert {line.split(":")[0] for line in head.splitlines()} == {"name", "about", "title"}
    assert body.count("- [ ]") == 3 and "- [x]" not in body and "shown" not in body
    assert [line for line in body.splitlines() if line.startswith("## ")] == ["## First", "## Second"]


def test_the_buttons_save_and_clear(opened):
    browser = opened()
    browser.run("checklist.save = (name, text) => (window.saved = [name, text])")
    browser.run(f"{BOXES}[0].click()")
    press = "[...document.querySelectorAll('.checklist-bar button')].find(b => b.textContent === {0!r}).click()"
    browser.run(press.format("Save as Markdown"))
    name, text = browser.run("window.saved")
    assert name == "checklist.md" and text.count("- [x]") == 1
    browser.run(press.format("Save as issue template"))
    assert browser.run("window.saved")[1].startswith("---\nname: The list\n")
    browser.run("window.confirm = () => false")
    browser.run(press.format("Clear all"))
    assert told(browser)[0] == "1 of 3 shown"
    browser.run("window.confirm = () => true")
    browser.run(press.format("Clear all"))
    assert told(browser)[0] == "0 of 3 shown"
    assert told(opened())[0] == "0 of 3 shown"


def test_a_page_without_a_list_is_left_alone(browser, tmp_path):
    from chromium import Site

    (tmp_path / "checklist.js").write_bytes((ROOT / "book/_static/checklist.js").read_bytes())
    (tmp_path / "x.html").write_text(
        '<!doctype html><link rel="icon" href="data:,"><script src="checklist.js"></script><article><h1>x</h1>'
    )
    with Site(tmp_path) as site:
        browser.open(f"{site.address}x.html")
        assert not browser.run("document.querySelector('.checklist-bar')") and not browser.complaints()
