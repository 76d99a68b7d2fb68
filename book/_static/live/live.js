// The panel "try the model": built where the page has a .cv-live element, loaded when its button is pressed.
(() => {
  "use strict";
  const here = new URL(".", document.currentScript.src);
  const script = name => new Promise((done, fail) => {
    const tag = document.createElement("script");
    tag.src = new URL(name, here).href;
    tag.onload = done;
    tag.onerror = () => fail(new Error(`${name} could not be loaded`));
    document.head.append(tag);
  });
  const make = (name, attributes = {}, ...children) => {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) {
      if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
      else element.setAttribute(key, value);
    }
    element.append(...children);
    return element;
  };
  const words = name => name.replaceAll("_", " ");
  const DIALS = [
    ["exposure", "Exposure", -3, 3, 0.1, 0, v => `${v > 0 ? "+" : ""}${v.toFixed(1)} EV`],
    ["defocus", "Blur", 0, 6, 0.1, 0, v => `${v.toFixed(1)} px`],
    ["noise", "Noise", 0, 64, 1, 0, v => `${v} levels`],
    ["quality", "JPEG", 0, 100, 5, 0, v => (v ? `quality ${v}` : "off")],
  ];

  function panel(root) {
    let me, shipped, picture, tile, stream, busy = false, stale = false;
    const status = make("p", { role: "status", class: "cv-live-status" });
    const start = make("button", { type: "button", class: "cv-live-button cv-live-start", onclick: load }, "Load the model and try it (4 MB)");
    root.replaceChildren(start, status);

    async function load() {
      start.disabled = true;
      status.textContent = "Loading…";
      const clicked = performance.now();
      try {
        await Promise.all(["runtime.js", "model.js", "inspector.js"].map(script));
        shipped = globalThis.cvprodModel;
        me = await globalThis.cvprodInspector.Inspector.load(globalThis.cvprodRuntime, shipped);
        draw();
        await generated(shipped.tiles.length - 1);
        root.dataset.ready = (performance.now() - clicked).toFixed(0);
        status.textContent = `Ready after ${(root.dataset.ready / 1000).toFixed(1)} s. The self-test of the service holds here too.`;
        keep(root);
        globalThis.cvprodLive = { inspector: me, show, last: () => root.last };
      } catch (error) {
        start.disabled = false;
        status.textContent = `The model does not run in this browser: ${error.message}.`;
      }
    }

    let canvas, bars, verdict, histogram, sliders = {};
    function draw() {
      const picks = shipped.tiles.map((item, i) =>
        make("button", { type: "button", class: "cv-live-pick", onclick: () => generated(i) },
          make("img", { src: `data:image/png;base64,${item.png}`, alt: "", width: 56, height: 56 }), words(item.label)));
      const file = make("input", { type: "file", accept: "image/*", onchange: own });
      const camera = make("button", { type: "button", class: "cv-live-button", "aria-pressed": "false", onclick: film }, "Camera");
      canvas = make("canvas", { width: 96, height: 96, role: "img", "aria-label": "The tile that the network sees" });
      bars = make("div", { class: "cv-live-bars" });
      verdict = make("p", { class: "cv-live-verdict", "aria-live": "polite" });
      histogram = make("div");
      const dials = DIALS.map(([key, name, min, max, step, value, tell]) => {
        const shown = make("output", {}, tell(value));
        const slider = make("input", { type: "range", min, max, step, value, "aria-label": name,
          oninput: () => { shown.textContent = tell(+slider.value); again(); } });
        sliders[key] = slider;
        slider.tell = () => { shown.textContent = tell(+slider.value); };
        return make("label", { class: "cv-live-dial" }, make("span", {}, name), slider, shown);
      });
      root.replaceChildren(
        make("div", { class: "cv-live-row" }, ...picks),
        make("div", { class: "cv-live-row" }, make("label", { class: "cv-live-button" }, "Your picture", file), camera,
          make("button", { type: "button", class: "cv-live-button", onclick: heat }, "Where does it look?"),
          make("button", { type: "button", class: "cv-live-button", onclick: time }, "Time 300 tiles"),
          make("button", { type: "button", class: "cv-live-button", onclick: reset }, "Reset the dials")),
        make("div", { class: "cv-live-grid" }, make("div", {}, canvas, ...dials), make("div", {}, verdict, bars, histogram)),
        status);
      root.camera = camera;
    }

    async function generated(index) {
      const answer = await fetch(`data:image/png;base64,${shipped.tiles[index].png}`).then(r => r.blob());
      picture = await globalThis.cvprodInspector.decode(answer);
      await again();
    }
    async function own(event) {
      const [file] = event.target.files;
      if (!file) return;
      try { picture = await globalThis.cvprodInspector.decode(file); await again(); }
      catch (error) { status.textContent = `${file.name}: not a picture that this browser can read (${error.message}).`; }
    }
    function reset() {
      for (const [key, , , , , value] of DIALS) { sliders[key].value = value; sliders[key].tell(); }
      again();
    }
    /** Judge the picture under the dials; while one is judged, the latest setting waits, and those between are dropped. */
    async function again() {
      if (busy) { stale = true; return; }
      busy = true;
      try {
        do {
          stale = false;
          const dials = Object.fromEntries(DIALS.map(([key]) => [key, +sliders[key].value]));
          const seen = Object.values(dials).some(Boolean) ? await globalThis.cvprodInspector.photograph(picture, dials) : picture;
          await show(globalThis.cvprodInspector.toInput(seen.grey, seen.width, seen.height));
        } while (stale);
      } finally { busy = false; }
    }
    function paint(map) {
      const pen = canvas.getContext("2d"), out = pen.createImageData(96, 96), most = map ? Math.max(...map, 1e-6) : 1;
      for (let i = 0; i < tile.length; i++) {
        const share = map ? 0.65 * map[i] / most : 0;
        out.data.set([tile[i] * (1 - share) + 255 * share, tile[i] * (1 - share) + 96 * share, tile[i] * (1 - share), 255], 4 * i);
      }
      pen.putImageData(out, 0, 0);
    }
    async function show(input) {
      tile = input;
      paint();
      const begun = performance.now(), logits = await me.logits(tile), took = performance.now() - begun;
      const p = me.probabilities(logits), top = p.indexOf(Math.max(...p)), review = p[top] < shipped.review_below;
      bars.replaceChildren(...me.card.classes.map((name, i) => make("div", { class: i === top ? "cv-live-bar cv-live-top" : "cv-live-bar" },
        make("span", {}, words(name)), make("i", { style: `--share:${(100 * p[i]).toFixed(1)}%` }), make("span", {}, `${(100 * p[i]).toFixed(1)} %`))));
      verdict.textContent = `${words(me.card.classes[top])}, ${(100 * p[top]).toFixed(1)} % sure${review ? ": a person should look" : ""} (${took.toFixed(1)} ms)`;
      canvas.setAttribute("aria-label", `The tile that the network sees; it says ${words(me.card.classes[top])}`);
      root.last = { label: me.card.classes[top], probabilities: p, logits: Array.from(logits), review };
      return root.last;
    }
    async function heat() {
      const begun = performance.now();
      paint(await me.occlusion(tile));
      status.textContent = `Orange: hiding this place costs the answer most. ${shipped.occlusion.says} (${(performance.now() - begun).toFixed(0)} ms here)`;
    }
    async function time() {
      const took = [];
      for (let i = 0; i < 330; i++) {
        const begun = performance.now();
        await me.logits(tile);
        if (i >= 30) took.push(performance.now() - begun); // the first ones warm up
        if (i % 25 === 0) await new Promise(done => setTimeout(done));
      }
      took.sort((a, b) => a - b);
      const at = q => took[Math.round(q * (took.length - 1))], low = at(0), high = at(0.98), bins = new Array(20).fill(0);
      for (const v of took) bins[Math.max(0, Math.min(19, Math.floor(20 * (v - low) / (high - low || 1))))]++;
      const most = Math.max(...bins);
      const svg = `<svg viewBox="0 0 200 84" role="img" aria-label="Histogram of the latency of 300 tiles on this device"><g fill="var(--pst-color-primary)">${
        bins.map((n, i) => `<rect x="${10 * i}" y="${(66 - 64 * n / most).toFixed(1)}" width="9" height="${(64 * n / most).toFixed(1)}"/>`).join("")
      }</g><g fill="currentColor" font-size="9"><text x="0" y="80">${low.toFixed(2)} ms</text><text x="200" y="80" text-anchor="end">${high.toFixed(2)} ms</text></g></svg>`;
      histogram.innerHTML = svg;
      histogram.append(make("p", {}, `This device, one tile at a time: p50 ${at(0.5).toFixed(2)} ms, p99 ${at(0.99).toFixed(2)} ms. ${shipped.reference}`));
      root.timed = { p50: at(0.5), p99: at(0.99) };
    }
    async function film() {
      if (stream) { stream.getTracks().forEach(track => track.stop()); stream = null; root.camera.setAttribute("aria-pressed", "false"); return; }
      try { stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } }); }
      catch (error) { status.textContent = `No camera here: ${error.message || error}.`; return; }
      root.camera.setAttribute("aria-pressed", "true");
      const video = make("video", { playsinline: "", muted: "" });
      video.muted = true;
      video.srcObject = stream;
      await video.play();
      while (stream) { // ten frames a second at most: a phone stays cool
        const next = performance.now() + 100;
        picture = await globalThis.cvprodInspector.decode(video);
        await again();
        await new Promise(done => setTimeout(done, Math.max(0, next - performance.now())));
      }
    }
  }

  /** On a published page the loaded demo can be installed, and is kept for use offline. From a file there is nothing to do. */
  function keep(root) {
    if (!root.dataset.app || !location.protocol.startsWith("http")) return;
    const app = new URL(root.dataset.app, document.baseURI);
    document.head.append(make("link", { rel: "manifest", href: app.href }));
    navigator.serviceWorker?.register(new URL("sw.js", app)).catch(() => {}); // no worker, no offline use: nothing else
  }

  document.addEventListener("DOMContentLoaded", () => document.querySelectorAll(".cv-live").forEach(panel));
})();
