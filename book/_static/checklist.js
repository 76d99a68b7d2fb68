// The checklist's ticks stay in this browser. Its progress is shown, and it can be taken along: as Markdown with the
// ticks, and as a template for issues with none.
"use strict";

const checklist = {
  /** How far one is: the whole of it, and each group. groups: [{title, items: [{done}]}]. */
  progress(groups) {
    const count = (items) => ({ done: items.filter((item) => item.done).length, all: items.length });
    return { ...count(groups.flatMap((group) => group.items)), groups: groups.map((group) => count(group.items)) };
  },

  /** The list as Markdown, with its ticks. items: [{text, done}], text in Markdown. */
  markdown(groups, title, address) {
    const { done, all } = checklist.progress(groups);
    const parts = groups.map(
      (group) => `## ${group.title}\n\n` + group.items.map((i) => `- [${i.done ? "x" : " "}] ${i.text}\n`).join("")
    );
    return `# ${title}\n\n${done} of ${all} shown. From ${address}\n\n${parts.join("\n")}`;
  },

  /** A template for issues on GitHub (.github/ISSUE_TEMPLATE/production-checklist.md): the same items, none ticked. */
  template(groups, title, address) {
    const head = `name: ${title}\nabout: What has to be shown before a model goes to production\ntitle: "${title}: "\n`;
    const open = groups.map((group) => ({ ...group, items: group.items.map((item) => ({ ...item, done: false })) }));
    const body = checklist.markdown(open, title, address).split("\n").slice(4).join("\n");
    return `---\n${head}---\n\nTick an item when its proof is here: replace the book's by your own. From ${address}\n\n${body}`;
  },

  /** Where the page is published, or else where it is read. */
  address() {
    const published = document.querySelector('link[rel="canonical"]');
    return published ? published.href : location.href.split("#")[0];
  },

  /** An element of the page as Markdown: bold, code, and links with their whole address. */
  text(element) {
    const parts = [...element.childNodes].map((node) => {
      if (node.nodeType === Node.TEXT_NODE) return node.textContent;
      if (node.nodeType !== Node.ELEMENT_NODE || node.tagName === "INPUT") return "";
      const inner = checklist.text(node);
      if (node.tagName === "STRONG") return `**${inner}**`;
      if (node.tagName === "CODE") return `\`${inner}\``;
      return node.tagName === "A" ? `[${inner}](${new URL(node.getAttribute("href"), checklist.address())})` : inner;
    });
    return parts.join("").replace(/\s+/g, " ").trim();
  },

  /** The page's groups: each section with boxes in it. */
  read(page) {
    const groups = [];
    for (const box of page.querySelectorAll("input.task-list-item-checkbox")) {
      const heading = box.closest("section").querySelector("h2");
      if (!groups.length || groups.at(-1).heading !== heading) {
        const title = [...heading.childNodes].filter((n) => n.nodeType === Node.TEXT_NODE).map((n) => n.textContent);
        groups.push({ heading, title: title.join("").trim(), items: [] });
      }
      const item = box.closest("li");
      groups.at(-1).items.push({ box, done: box.checked, text: checklist.text(item.querySelector("p") || item) });
    }
    return groups;
  },

  /** Give the browser a file to keep. */
  save(name, text) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "text/markdown" }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  },

  /** Restore the ticks of a page, and put the bar with progress and buttons above its first group. */
  start(page, store) {
    const boxes = [...page.querySelectorAll("input.task-list-item-checkbox")].filter((box) => box.closest("[id]"));
    if (!boxes.length) return;
    const key = (box) => `cvprod-${box.closest("[id]").id}`;
    const groups = () => checklist.read(page);
    const title = page.querySelector("h1").firstChild.textContent.trim();
    const address = checklist.address();

    const bar = document.createElement("div");
    bar.className = "checklist-bar";
    const meter = document.createElement("progress");
    const told = document.createElement("span");
    told.setAttribute("role", "status");
    meter.setAttribute("aria-label", "Items shown");
    bar.append(meter, told);
    const button = (words, act) => {
      const made = document.createElement("button");
      made.type = "button";
      made.textContent = words;
      made.addEventListener("click", act);
      bar.append(made);
    };
    const show = () => {
      const found = groups();
      const { done, all, groups: each } = checklist.progress(found);
      meter.max = all;
      meter.value = done;
      told.textContent = `${done} of ${all} shown`;
      found.forEach((group, index) => {
        let mark = group.heading.querySelector(".checklist-count");
        if (!mark) group.heading.append((mark = document.createElement("span")));
        mark.className = "checklist-count";
        mark.textContent = ` ${each[index].done}/${each[index].all}`;
      });
    };
    button("Save as Markdown", () => checklist.save("checklist.md", checklist.markdown(groups(), title, address)));
    button("Save as issue template", () =>
      checklist.save("production-checklist.md", checklist.template(groups(), title, address))
    );
    button("Clear all", () => {
      if (!confirm("Take every tick away?")) return;
      for (const box of boxes) box.checked = false;
      for (const box of boxes) store.removeItem(key(box));
      show();
    });

    for (const box of boxes) {
      box.checked = store.getItem(key(box)) === "1";
      box.addEventListener("change", () => {
        store.setItem(key(box), box.checked ? "1" : "0");
        show();
      });
    }
    groups()[0].heading.before(bar);
    show();
  },
};

if (typeof document !== "undefined") {
  document.addEventListener("DOMContentLoaded", () => {
    const page = document.querySelector("article") || document.body;
    let store;
    try {
      store = localStorage;
      store.getItem("");
    } catch {
      store = { getItem: () => null, setItem: () => {}, removeItem: () => {} }; // a browser that keeps nothing
    }
    checklist.start(page, store);
  });
}
if (typeof module !== "undefined") module.exports = checklist;
