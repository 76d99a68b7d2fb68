// Predict, then see: keep the reader's choice in this browser, open the answer, and say whether it was right.
"use strict";

const predict = {
  /** What is said about a choice; right is undefined where the chapter has not run. */
  said(choice, right) {
    if (right === undefined) return "Noted. This build has no number for it.";
    return choice === right ? "As you said." : "Not on this machine.";
  },

  start(page, store) {
    for (const form of page.querySelectorAll("form.cv-predict")) {
      const key = `cvprod-predict-${form.dataset.predict}`;
      const show = (choice, open) => {
        form.querySelector(".cv-predict-said").textContent = predict.said(choice, form.dataset.right);
        form.querySelectorAll("label").forEach((label, place) => {
          label.classList.toggle("cv-predict-right", String(place) === form.dataset.right);
        });
        if (open) form.querySelector("details").open = true;
      };
      form.addEventListener("submit", (event) => event.preventDefault());
      form.addEventListener("change", (event) => {
        store.setItem(key, event.target.value);
        show(event.target.value, true);
      });
      const kept = store.getItem(key);
      const box = [...form.querySelectorAll("input")].find((input) => input.value === kept);
      if (box) {
        box.checked = true;
        show(kept, true);
      }
    }
  },
};

if (typeof document !== "undefined") {
  document.addEventListener("DOMContentLoaded", () => {
    let store;
    try {
      store = localStorage;
      store.getItem("");
    } catch {
      store = { getItem: () => null, setItem: () => {} }; // a browser that keeps nothing
    }
    predict.start(document, store);
  });
}
if (typeof module !== "undefined") module.exports = predict;
