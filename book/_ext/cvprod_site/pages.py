"""What every page of the theme needs before it is light, private and accessible."""

import html
import re

from bs4 import BeautifulSoup
from docutils import nodes

from cvprod_site import assets, photographs, reading

STAND_IN = "@@article@@"
BADGE = "https://colab.research.google.com/assets/colab-badge.svg"

# Scripts and sheets that the theme or Jupyter Book link on every page, and what on a page would use them.
NEVER = r"sphinx-thebe|thebe_selector|THEBE_JS_URL|fontawesome\.js|MathJax"
ONLY_WITH = {
    r"sphinx-design|design-tabs": r'class="[^"]*\bsd-',
    r"togglebutton|toggleHint|toggleOpenOnPrint": r'class="[^"]*\b(?:toggle|dropdown admonition|admonition dropdown)\b',
    r"checklist\.js": r'class="task-list-item-checkbox',
    r"predict\.js": r'class="cv-predict"',
    r"clipboard\.min\.js|copybutton": r'class="highlight',
}
#: What the one sheet holds (assets.SHEETS).
BUNDLED = re.compile(
    r'<link\b[^>]*href="[^"]*_static/(?:styles/[\w-]+|pygments|togglebutton|copybutton|custom|mystnb\.\w+)\.css'
    r'[^"]*"[^>]*>\s*'
)
#: Without a script nothing sets the theme, and nothing opens the menu: the menu stands below the page then.
NO_SCRIPT = """<noscript><style>
html:not(#x) .pst-js-only { display: none !important; }
@media (max-width: 992px) {
  .bd-container__inner { flex-wrap: wrap; }
  .bd-sidebar-primary {
    display: flex !important; position: static; order: 2; visibility: visible; margin: 0; border-top: 1px solid;
    width: 100%; max-width: none; max-height: none; flex: 0 0 100%;
  }
  .bd-main { flex: 0 0 100%; }
  .bd-sidebar-secondary { display: none; }
}
</style></noscript>"""
SEARCH_ONLY = r"searchtools\.js|language_data\.js|searchindex\.js"


def describe(app, pagename: str, templatename: str, context: dict, doctree: nodes.document | None) -> None:
    """Give the page a meta description: its own, or the first paragraph that says something."""
    if 'name="description"' in context.get("metatags", ""):
        return
    text = ""
    for paragraph in doctree.findall(nodes.paragraph) if doctree else ():
        found = " ".join(paragraph.astext().split())
        if len(found) > 60 and "cv-hardware" not in paragraph["classes"]:
            text = found
            break
    text = text or f"{context.get('title') or pagename.capitalize()}: {app.config.html_title}."
    text = re.sub(r"<[^>]*>", "", text)
    short = text if len(text) <= 160 else text[:157].rsplit(" ", 1)[0] + "..."
    context["metatags"] = context.get("metatags", "") + f'<meta name="description" content="{html.escape(short)}" />'


def finish(page: str, context: dict) -> str:
    """Return the page without what it does not use, and with what assistive technology needs.

    The article is left to a few replacements; only the theme's frame around it is parsed.
    """
    head, marker, rest = page.partition("</head>")
    before, opened, article = rest.partition('<article class="bd-article">')
    article, closed, after = article.partition("</article>")
    if not marker:
        return page  # a fragment: nothing of the theme's frame in it
    if not closed:  # the search page has no article
        return _head(head, rest, context) + marker + _frame(rest)
    article = _article(article, context)
    # The frame is parsed whole, with a stand-in for the article: each half alone would be unbalanced.
    frame = _frame(before + opened + STAND_IN + closed + after)
    return _head(head, article, context) + marker + frame.replace(STAND_IN, article, 1)


def _head(head: str, article: str, context: dict) -> str:
    unwanted = [NEVER]
    unwanted += [link for link, used in ONLY_WITH.items() if not re.search(used, article)]
    if context["pagename"] != "search":
        unwanted.append(SEARCH_ONLY)
    tags = re.compile(r"<script\b[^>]*>.*?</script>\s*|<link\b[^>]*>\s*", re.S)
    head = tags.sub(lambda tag: "" if re.search("|".join(unwanted), tag[0]) else tag[0], head)
    # On a first visit nothing is stored, which the theme's script reports as an invalid mode.
    head = head.replace('localStorage.getItem("mode") || ""', 'localStorage.getItem("mode") || "auto"')
    # Read before anything is drawn, so that no page flashes in the other theme.
    head = head.replace(
        'localStorage.getItem("theme") || ""',
        'localStorage.getItem("theme") || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")',
    )
    head = head.replace('<html lang="en"', '<html lang="en" data-theme="light"', 1)  # without a script it stays so
    # One sheet, and scripts that do not keep the page waiting; what needs them waits for them.
    first = BUNDLED.search(head)
    if first:
        sheet = context["pathto"](f"_static/{assets.BUNDLE}", resource=True)
        link = f'<link rel="stylesheet" href="{sheet}?v={context.get("cv_sheet", "")}">\n'
        head = head[: first.start()] + link + BUNDLED.sub("", head[first.start() :])
    head = re.sub(r"<script (?![^>]*\b(?:defer|async)\b)(?=[^>]*\bsrc=)", "<script defer ", head)
    head = re.sub(
        r"<script>\s*(DOCUMENTATION_OPTIONS\.[^<]*?)</script>",
        r'<script>addEventListener("DOMContentLoaded", () => { \1 });</script>',
        head,
    )
    head = re.sub(r'<link rel="preload" as="script"[^>]*>\s*', "", head)  # deferred scripts are found soon enough
    head += NO_SCRIPT
    # Sphinx, MyST and the theme each set a viewport: the first is enough.
    viewport = re.compile(r'<meta name="viewport"[^>]*>')
    first = viewport.search(head)
    head = head[: first.end()] + viewport.sub("", head[first.end() :]) if first else head
    return re.sub(r"<!--.*?-->\s*", "", head, flags=re.S)


def _article(article: str, context: dict) -> str:
    article = re.sub(
        r'<script type="text/x-thebe-config">.*?</script>\s*<script>kernelName.*?</script>', "", article, flags=re.S
    )
    article = article.replace(BADGE, context["pathto"]("_static/colab.svg", resource=True))
    # The visible words are the name; a label that differs from them confuses voice control.
    article = article.replace('<summary aria-label="Toggle hidden content">', "<summary>")
    # A link that is a bare # is announced by its title; the sign itself is for the eye.
    article = re.sub(
        r'<a class="headerlink" href="(#[^"]*)" title="([^"]*)">([^<]*)</a>',
        r'<a class="headerlink" href="\1" title="\2" aria-label="\2"><span aria-hidden="true">\3</span></a>',
        article,
    )
    # A checklist can be ticked (checklist.js remembers it); each box is named by its item.
    article = re.sub(
        r'<input class="task-list-item-checkbox"[^>]*>(\s*<strong>(.*?)</strong>)',
        lambda m: f'<input class="task-list-item-checkbox" type="checkbox" aria-label="{_plain(m[2])}">{m[1]}',
        article,
        flags=re.S,
    )
    # Long lines scroll, so the keyboard must reach them.
    article = article.replace("<pre>", '<pre tabindex="0">')
    article = re.sub(r"<th></th>", "<td></td>", article)  # pandas: an empty corner is no heading
    article = re.sub(r"<style scoped>.*?</style>", "", article, flags=re.S)  # pandas: superseded by custom.css
    return reading.finish(photographs.lighten(article), context["pagename"])


def _plain(markup: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", "", markup).replace('"', "&quot;").split())


def _frame(markup: str) -> str:
    """Mend the theme's own markup around the article."""
    soup = BeautifulSoup(markup, "html.parser")
    for icon in soup.select("i[class*='fa-'], span[class*='fa-']"):
        icon["aria-hidden"] = "true"
        icon.attrs.pop("title", None)
    for key in soup.select(".search-button__kbd-shortcut"):
        key["aria-hidden"] = "true"
    for button in soup.select("button, a.btn"):
        button.attrs.pop("data-bs-toggle", None) if button.get("data-bs-toggle") == "tooltip" else None
        if not button.get_text(strip=True) and not button.get("aria-label"):
            button["aria-label"] = button.get("title") or button.get("data-bs-title") or ""
        elif button.get_text(strip=True) and button.get("aria-label"):
            del button["aria-label"]
        if button.get("target") == "_blank":
            button["rel"] = "noopener"
    for summary in soup.select("li > details > summary"):  # folds the pages below an entry of the contents
        above = summary.find_parent("li").find("a")
        summary["aria-label"] = f"Pages below {above.get_text(strip=True)}" if above else "More pages"
    for link in soup.select(".prev-next-area a"):
        link.attrs.pop("title", None)  # the words inside say it already
    for caption in soup.select("p.caption[role=heading]"):
        del caption["role"], caption["aria-level"]  # a label in the navigation, not a heading of the page
    for name, label in (("pst-primary-sidebar", "Chapters"), ("pst-secondary-sidebar", "On this page")):
        for sidebar in soup.select(f"#{name}"):
            sidebar["role"] = "complementary"  # the theme's script looks for a div
            sidebar["aria-label"] = label
    for footer in soup.select("footer.prev-next-footer"):
        footer.name = "nav"  # it holds links, and a page has one footer
        footer["aria-label"] = "Neighbouring pages"
    for footer in soup.select("footer.bd-footer"):
        if not footer.get_text(strip=True):
            footer.decompose()
    for gone in soup.select("#ethical-ad-placement, #jb-print-docs-body h1"):
        gone.decompose()
    for dialog in soup.select("dialog"):
        labels = {"pst-search-dialog": "Search", "pst-primary-sidebar-modal": "Chapters"}
        dialog["aria-label"] = labels.get(dialog.get("id"), "On this page")
    return str(soup)
