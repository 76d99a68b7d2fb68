"""A chapter's number is that of its file, also while chapters before it are not written yet.

Sphinx counts what the table of contents holds: without this, notebooks/07 would be "5" in the margin and "chapter 7" in
every sentence.
"""

import re

from docutils import nodes

#: A chapter's page; the group is its number.
CHAPTER = re.compile(r"notebooks/(\d\d)_")


def renumber(app, env) -> list[str]:
    """Put the file's number in front of all section numbers of each chapter, after Sphinx has counted."""
    for document, numbers in env.toc_secnumbers.items():
        found = CHAPTER.match(document)
        if not found:
            continue
        chapter = int(found.group(1))
        for anchor, number in numbers.items():
            if number:
                numbers[anchor] = (chapter, *number[1:])
        titles = [env.titles.get(document), env.longtitles.get(document)]
        links = list(env.tocs[document].findall(nodes.reference)) if document in env.tocs else []
        for node in [*filter(None, titles), *links]:
            if number := node.get("secnumber"):
                node["secnumber"] = (chapter, *number[1:])
    return []
