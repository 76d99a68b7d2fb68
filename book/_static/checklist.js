// Remember which items of the checklist are ticked, in this browser only.
document.addEventListener("DOMContentLoaded", () => {
  for (const box of document.querySelectorAll("input.task-list-item-checkbox")) {
    const item = box.closest("[id]");
    if (!item) continue;
    const key = `cvprod-${item.id}`;
    box.checked = localStorage.getItem(key) === "1";
    box.addEventListener("change", () => localStorage.setItem(key, box.checked ? "1" : "0"));
  }
});
