/* What the options cost a year, from the price list and the reader's own numbers: the same sums as cvprod/costs/options.py,
   in the same order, so that both give the same cents. No library, no network. A test compares the two in node and in a
   browser. */
(function (root) {
  "use strict";

  function hourly(data, name) {
    const price = data.prices[name];
    return price.currency === "USD" ? price.value * data.usd_in_eur : price.value;
  }

  function machineOption(data, one, input) {
    let year = 0, hour = 0;
    if (one.kind === "edge") {
      const e = data.edge;
      year = e.box / e.life + e.upkeep;
      hour = (e.power / 1000) * e.electricity;
    } else if (one.kind === "container") {
      hour = 2 * hourly(data, one.prices[0]) + 4 * hourly(data, one.prices[1]);
    } else {
      hour = hourly(data, one.prices[0]);
    }
    return { ...one, tilesPerS: input.tilesPerS, eurPerYear: year, eurPerHour: hour, eurPerMillion: 0, tilesPerCall: 1 };
  }

  function functionOption(data, one, input) {
    const tiles = input.tilesPerCall, ms = Math.ceil(input.callMs - 1e-9);
    let duration;
    if (one.rule === "lambda") duration = (ms / 1e3) * one.gb * hourly(data, one.prices[0]);
    else if (one.rule === "azure") duration = (Math.max(one.leastMs, ms) / 1e3) * one.gb * hourly(data, one.prices[0]);
    else {
      const second = one.vcpu * hourly(data, one.prices[0]) + one.gib * hourly(data, one.prices[1]);
      duration = (tiles * second) / input.tilesPerS;
    }
    const fee = hourly(data, one.prices[one.prices.length - 1]);
    return {
      ...one, tilesPerS: (1e3 * tiles) / input.callMs, eurPerYear: 0, eurPerHour: 0, tilesPerCall: tiles,
      eurPerMillion: ((duration + fee) / tiles) * 1e6,
    };
  }

  function plan(data, option, input) {
    const byCall = option.kind === "function";
    const units = Math.max(1, Math.ceil(input.peak / ((byCall ? 1 : data.busy) * option.tilesPerS) - 1e-9));
    const million = (input.peak * input.share * 3600 * input.hours) / 1e6;
    const fixed = byCall ? 0 : units * (option.eurPerYear + option.eurPerHour * input.hours);
    const year = fixed + option.eurPerMillion * million;
    const broken = [];
    if ((input.peak * input.share) / (units * option.tilesPerS) > option.baseline) broken.push("throttled under this load");
    if (option.kind === "spot" && !input.interruptible) broken.push("may be taken away");
    if (input.europe && !option.europe) broken.push("pictures leave Europe");
    return {
      name: option.name, provider: option.provider, region: option.region, units: units, eurPerYear: year,
      eurPerMillion: year / million, broken: broken, marks: option.marks,
    };
  }

  /* All plans, the cheapest first; those that break something last. */
  function compute(data, input) {
    const plans = data.machines.map((one) => plan(data, machineOption(data, one, input), input))
      .concat(data.functions.map((one) => plan(data, functionOption(data, one, input), input)));
    return plans.sort((a, b) => (a.broken.length > 0) - (b.broken.length > 0) || a.eurPerYear - b.eurPerYear);
  }

  function read(form) {
    const input = {};
    for (const field of form.querySelectorAll("input[name]")) {
      if (field.type === "checkbox") { input[field.name] = field.checked; continue; }
      const value = Number(field.value), good = field.value !== "" && value >= Number(field.min) && value <= Number(field.max);
      field.setAttribute("aria-invalid", String(!good));
      if (!good) return null;
      input[field.name] = value;
    }
    return input;
  }

  function start(box) {
    const data = JSON.parse(box.querySelector("script[type='application/json']").textContent);
    const form = box.querySelector("form"), body = box.querySelector("tbody"), said = box.querySelector("[role=status]");
    function update() {
      const input = read(form);
      if (!input) { said.textContent = "A number is missing or out of its range."; return; }
      const plans = compute(data, input);
      body.replaceChildren(...plans.slice(0, 12).map((one) => {
        const row = document.createElement("tr");
        const cells = [one.name, one.provider, one.region || "any", String(one.units), one.eurPerYear.toFixed(2),
          one.eurPerMillion.toFixed(4), one.broken.join(", ") || "-", one.marks || "-"];
        for (const text of cells) {
          const cell = row.appendChild(document.createElement("td"));
          cell.textContent = text;
          cell.style.cssText = "padding:.3em .7em;white-space:nowrap";
        }
        return row;
      }));
      const best = plans[0];
      said.textContent = best.broken.length ? "No option keeps all of this." :
        "Cheapest: " + best.units + " x " + best.name + " (" + best.provider + "), " + best.eurPerYear.toFixed(2) + " EUR a year.";
    }
    form.addEventListener("input", update);
    form.addEventListener("submit", (event) => event.preventDefault());
    update();
  }

  if (typeof module !== "undefined" && module.exports) module.exports = { compute: compute };
  else root.cvprodCosts = { compute: compute, start: start };
})(typeof window === "undefined" ? globalThis : window);
