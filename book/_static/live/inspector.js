// The book's model in the page: preprocessing, inference, line conditions. A classic script, so that it also works from
// a file. Nothing is loaded before the reader asks for it, nothing comes from another site, and no picture leaves the page.
(() => {
  "use strict";
  const SIDE = 96;

  /** Weights of area averaging along one axis, in whole numbers: for each output pixel [input pixel, weight]. */
  const overlaps = n => Array.from({ length: SIDE }, (_, o) => {
    const cells = [];
    for (let i = Math.floor(n * o / SIDE); i <= Math.floor((n * (o + 1) - 1) / SIDE); i++)
      cells.push([i, Math.min(n * (o + 1), SIDE * (i + 1)) - Math.max(n * o, SIDE * i)]);
    return cells;
  });

  /** Grey bytes (height x width) to 96 x 96, as cvprod.surface.to_input: area averages, to the nearest level. */
  function toInput(grey, width, height) {
    if (width === SIDE && height === SIDE) return Uint8Array.from(grey);
    if (width < SIDE || height < SIDE) return enlarge(grey, width, height);
    const xs = overlaps(width), ys = overlaps(height), all = width * height, out = new Uint8Array(SIDE * SIDE);
    const halved = width === 2 * SIDE && height === 2 * SIDE; // there OpenCV rounds ties up, elsewhere to even
    const columns = new Float64Array(width); // exact: sums stay below 2^53
    ys.forEach((rows, y) => {
      columns.fill(0);
      for (const [i, weight] of rows) for (let j = 0, p = i * width; j < width; j++) columns[j] += weight * grey[p + j];
      xs.forEach((cells, x) => {
        let sum = 0;
        for (const [j, weight] of cells) sum += weight * columns[j];
        const floor = Math.floor(sum / all), rest = sum - floor * all;
        out[y * SIDE + x] = floor + (2 * rest > all || (2 * rest === all && (halved || floor % 2 === 1)));
      });
    });
    return out;
  }

  /** OpenCV's INTER_AREA where an axis grows: bilinear with the fixed-point weights (11 bits) of its 8-bit resizer. */
  function enlarge(grey, width, height) {
    const axis = n => Array.from({ length: SIDE }, (_, o) => {
      const scale = n / SIDE;
      let at = Math.floor(o * scale), f = Math.fround((o + 1) - (at + 1) * (SIDE / n));
      f = f <= 0 ? 0 : Math.fround(f - Math.floor(f));
      if (at < 0) { at = 0; f = 0; }
      if (at >= n - 1) { at = n - 1; f = 0; }
      return [at, Math.min(at + 1, n - 1), even((1 - f) * 2048), even(f * 2048)];
    });
    const even = v => { const r = Math.round(v); return Math.abs(v % 1) === 0.5 && r % 2 ? r - 1 : r; };
    const xs = axis(width), ys = axis(height), out = new Uint8Array(SIDE * SIDE);
    ys.forEach(([top, bottom, wt, wb], y) => xs.forEach(([left, right, wl, wr], x) => {
      const upper = grey[top * width + left] * wl + grey[top * width + right] * wr;
      const lower = grey[bottom * width + left] * wl + grey[bottom * width + right] * wr;
      out[y * SIDE + x] = ((wt * (upper >> 4) >> 16) + (wb * (lower >> 4) >> 16) + 2) >> 2;
    }));
    return out;
  }

  /** Luma of RGBA as Pillow's convert("L") computes it. */
  function luma(rgba) {
    const grey = new Uint8Array(rgba.length / 4);
    for (let i = 0, p = 0; i < grey.length; i++, p += 4)
      grey[i] = (rgba[p] * 19595 + rgba[p + 1] * 38470 + rgba[p + 2] * 7471 + 0x8000) >>> 16;
    return grey;
  }

  /** A Blob or a video frame as grey bytes: {grey, width, height}, upright as its EXIF block says. */
  async function decode(source) {
    const bitmap = await createImageBitmap(source, { colorSpaceConversion: "none", premultiplyAlpha: "none" });
    const { width, height } = bitmap;
    if (width * height > 40e6) { bitmap.close(); throw new Error(`${width} × ${height} pixels are more than this page takes`); }
    const canvas = new OffscreenCanvas(width, height), pen = canvas.getContext("2d", { willReadFrequently: true });
    pen.drawImage(bitmap, 0, 0);
    bitmap.close();
    return { grey: luma(pen.getImageData(0, 0, width, height).data), width, height };
  }

  /** Gaussian blur, borders mirrored. */
  function blur(grey, width, height, sigma) {
    const radius = Math.max(1, Math.ceil(4 * sigma)), kernel = [];
    for (let i = -radius; i <= radius; i++) kernel.push(Math.exp(-(i * i) / (2 * sigma * sigma)));
    const sum = kernel.reduce((a, b) => a + b);
    const mirror = (i, n) => { if (n === 1) return 0; i = Math.abs(i) % (2 * n - 2); return i < n ? i : 2 * n - 2 - i; };
    const pass = (from, n, step, lines, gap) => {
      const to = new Float32Array(width * height);
      for (let l = 0; l < lines; l++) for (let i = 0; i < n; i++) {
        let s = 0;
        for (let k = -radius; k <= radius; k++) s += kernel[k + radius] * from[l * gap + mirror(i + k, n) * step];
        to[l * gap + i * step] = s / sum;
      }
      return to;
    };
    return pass(pass(grey, width, 1, height, width), height, width, width, 1);
  }

  /** A small seeded generator (mulberry32), so that a slider shows its own effect and not fresh noise. */
  const dice = seed => () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };

  /** The line conditions of cvprod.surface, in the same order: lens, light, sensor noise, compression. */
  async function photograph(picture, { exposure = 0, defocus = 0, noise = 0, quality = 0 } = {}) {
    const { width, height } = picture;
    let level = defocus >= 0.3 ? blur(picture.grey, width, height, defocus) : picture.grey;
    const light = 2 ** exposure, roll = dice(7), grey = new Uint8Array(width * height);
    for (let i = 0; i < grey.length; i++) {
      const n = noise ? (roll() + roll() + roll() + roll() - 2) * noise * Math.sqrt(3) : 0;
      grey[i] = Math.max(0, Math.min(255, Math.round(level[i] * light + n)));
    }
    if (!quality) return { grey, width, height };
    const canvas = new OffscreenCanvas(width, height), pen = canvas.getContext("2d");
    const pixels = pen.createImageData(width, height);
    for (let i = 0; i < grey.length; i++) pixels.data.set([grey[i], grey[i], grey[i], 255], 4 * i);
    pen.putImageData(pixels, 0, 0);
    return decode(await canvas.convertToBlob({ type: "image/jpeg", quality: quality / 100 }));
  }

  const bytes = text => Uint8Array.from(atob(text), c => c.charCodeAt(0));
  const unpack = async text =>
    new Uint8Array(await new Response(new Blob([bytes(text)]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer());

  class Inspector {
    /** packed: {ort, wasm}, gzip in base64; shipped: {model (base64), card, ...}. The digest and the self-test must hold. */
    static async load(packed, shipped) {
      const started = performance.now(), me = new Inspector();
      const url = URL.createObjectURL(new Blob([await unpack(packed.ort)], { type: "text/javascript" }));
      me.ort = await import(url);
      URL.revokeObjectURL(url);
      me.ort.env.wasm.wasmBinary = (await unpack(packed.wasm)).buffer;
      me.ort.env.wasm.numThreads = 1;
      me.card = shipped.card;
      const model = bytes(shipped.model);
      if (globalThis.crypto?.subtle) { // not there on a page from http:// that is not this machine's own
        const digest = [...new Uint8Array(await crypto.subtle.digest("SHA-256", model))];
        if (digest.map(b => b.toString(16).padStart(2, "0")).join("") !== me.card.sha256)
          throw new Error("the model file is not the one that its card names");
      }
      me.session = await me.ort.InferenceSession.create(model, { executionProviders: ["wasm"], logSeverityLevel: 3 });
      const pattern = new Uint8Array(SIDE * SIDE);
      for (let y = 0; y < SIDE; y++) for (let x = 0; x < SIDE; x++) pattern[y * SIDE + x] = (7 * y + 3 * x) % 256;
      const got = await me.logits(pattern);
      me.selfTest = Math.max(...me.card.self_test.map((v, i) => Math.abs(v - got[i])));
      if (!(me.selfTest < 1)) throw new Error(`its self-test is off by ${me.selfTest}`);
      me.loadTime = performance.now() - started;
      return me;
    }

    /** Tiles (n x 96 x 96 bytes) to logits (n x classes). */
    async logits(tiles) {
      const shape = [tiles.length / (SIDE * SIDE), 1, SIDE, SIDE], session = this.session;
      const out = await session.run({ [session.inputNames[0]]: new this.ort.Tensor("uint8", tiles, shape) });
      return out[session.outputNames[0]].data;
    }

    /** Calibrated probabilities, as the service gives them. */
    probabilities(logits) {
      const z = Array.from(logits, v => v / this.card.temperature), top = Math.max(...z);
      const e = z.map(v => Math.exp(v - top)), sum = e.reduce((a, b) => a + b);
      return e.map(v => v / sum);
    }

    /** How much the winner's logit falls where a square of the tile is replaced by its blurred self: 96 x 96 values. */
    async occlusion(tile, { patch = 16, stride = 8, sigma = 12 } = {}) {
      const veil = Uint8Array.from(blur(tile, SIDE, SIDE, sigma), Math.round), places = [];
      const base = await this.logits(tile), top = base.indexOf(Math.max(...base)), k = base.length;
      for (let y = 0; y + patch <= SIDE; y += stride) for (let x = 0; x + patch <= SIDE; x += stride) places.push([y, x]);
      const fall = new Float32Array(SIDE * SIDE), seen = new Float32Array(SIDE * SIDE);
      for (let s = 0; s < places.length; s += 11) {
        const part = places.slice(s, s + 11), batch = new Uint8Array(part.length * SIDE * SIDE);
        part.forEach(([y, x], i) => {
          batch.set(tile, i * SIDE * SIDE);
          for (let r = y; r < y + patch; r++)
            batch.set(veil.subarray(r * SIDE + x, r * SIDE + x + patch), (i * SIDE + r) * SIDE + x);
        });
        const logits = await this.logits(batch);
        part.forEach(([y, x], i) => {
          const by = base[top] - logits[i * k + top];
          for (let r = y; r < y + patch; r++) for (let c = x; c < x + patch; c++) { fall[r * SIDE + c] += by; seen[r * SIDE + c]++; }
        });
        await new Promise(done => setTimeout(done)); // the page stays alive
      }
      return fall.map((v, i) => Math.max(0, v / (seen[i] || 1)));
    }
  }

  globalThis.cvprodInspector = { SIDE, toInput, luma, decode, photograph, Inspector };
})();
