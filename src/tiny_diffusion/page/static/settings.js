// The drawer: how the chosen checkpoint writes.

import { $, el, warn } from "./dom.js";
import { askJson } from "./stream.js";

const RANGES = ["temperature", "length", "rewrite_strength", "top_p"];
const PLAIN = [...RANGES, "steps", "words", "expert", "max_copied_words", "sampler"];
const ORDERS = {
  entropy: "the surest ones", confidence: "the likeliest ones", margin: "those with the widest margin",
  ancestral: "any, at random", first_hitting: "any, at random, in equal shares",
};
const NAMES = { sentence_length: "Sentences", dialogue: "Speech", difficulty: "Difficulty", stage: "Like the stage" };

function about({ name, book, parameters, context, bits_per_byte: bits }) {
  const size = `${(parameters / 1e6).toFixed(parameters < 1e7 ? 2 : 0)} million parameters, reads ${context} tokens at a time`;
  const validated = bits === null ? "" : `, ${bits.toFixed(3)} bits per byte on validation text`;
  return `${name}${book ? `, trained on ${book}` : ""}: ${size}${validated}.`;
}

export class Settings {
  constructor(start, onChange) {
    this.checkpoints = start.checkpoints;
    this.limits = start.limits;
    this.onChange = onChange;
    $("length").max = start.limits.most_tokens;
    $("num_samples").max = start.limits.most_drafts;
    $("sampler").replaceChildren(...start.samplers.map((name) => el("option", { value: name, textContent: ORDERS[name] || name })));
    const options = this.checkpoints.map(({ number, name, reason }) => el("option", { value: number, textContent: name, disabled: Boolean(reason) }));
    $("checkpoint").replaceChildren(...options);
    const first = this.checkpoints.find(({ reason }) => !reason);
    if (first) $("checkpoint").value = first.number;
    this.offerComparison();
    this.fill();
    $("checkpoint").addEventListener("change", () => this.fill());
    $("defaults").addEventListener("click", () => this.fill());
    $("settings").addEventListener("submit", (event) => event.preventDefault());
    $("settings").addEventListener("input", () => this.show());
    this.drawer();
    $("invitation").hidden = start.local;
    $("invite").addEventListener("click", async () => {
      try {
        $("invited").textContent = (await askJson("/api/invite", {})).link;
      } catch (error) {
        warn(error.message);
      }
    });
  }

  get checkpoint() {
    const found = this.checkpoints[Number($("checkpoint").value)];
    return found && !found.reason ? found : null;
  }

  get canFill() {
    return this.checkpoint !== null && this.checkpoint.readings.includes("masked");
  }

  get models() {
    const ticked = [...document.querySelectorAll("#compare input:checked")].map(({ value }) => Number(value));
    return ticked.length > 1 ? ticked : [this.checkpoint.number];
  }

  // What goes to the server; settings that the chosen reading does not know stay at home.
  wishes() {
    const number = (id) => Number($(id).value);
    if ($("new-seed").checked) $("seed").value = crypto.getRandomValues(new Uint32Array(1))[0];
    const found = {
      temperature: number("temperature"), length: number("length"), num_samples: number("num_samples"), seed: number("seed"),
      top_p: number("top_p"), words: $("words").value, rewrite_strength: number("rewrite_strength"),
      sampler: $("sampler").value, gap_sampler: $("sampler").value, steps: number("steps"), reading: $("reading").value,
    };
    if (this.checkpoint.has_book) Object.assign(found, { max_copied_words: number("max_copied_words"), expert: $("expert").value });
    document.querySelectorAll("#controls select, #controls input").forEach(({ name, value }) => {
      found[name] = name === "guidance" ? Number(value) : value;
    });
    return found;
  }

  fill() {
    const checkpoint = this.checkpoint;
    if (checkpoint) {
      for (const id of PLAIN) $(id).value = checkpoint.settings[id];
      $("seed").value = checkpoint.settings.seed;
      $("text").lang = checkpoint.language || "";
      $("about-checkpoint").textContent = about(checkpoint);
      for (const option of $("reading").options) option.hidden = option.disabled = !checkpoint.readings.includes(option.value);
      $("reading").value = checkpoint.readings[0];
      for (const row of document.querySelectorAll(".of-book")) row.hidden = !checkpoint.has_book;
      const rows = Object.entries(checkpoint.controls).map(([name, levels]) =>
        el("label", { className: "row" }, `${NAMES[name] || name} `,
          el("select", { name }, ...["any", ...levels].map((level) => el("option", { value: level, textContent: level })))));
      if (rows.length) rows.push(el("label", { className: "row" }, "How hard these pull ", el("input", { name: "guidance", type: "number", min: 0, max: 20, step: 0.5, value: checkpoint.settings.guidance })));
      $("controls").replaceChildren(...rows);
    }
    this.show();
  }

  show() {
    for (const id of RANGES) $(`${id}-shown`).textContent = id === "temperature" || id === "length" ? $(id).value : `${Math.round(100 * $(id).value)} %`;
    const diffusion = $("reading").value !== "causal" || this.canFill;
    $("sampler").disabled = $("steps").disabled = !diffusion;
    $("seed").disabled = $("new-seed").checked;
    this.onChange();
  }

  offerComparison() {
    const usable = this.checkpoints.filter(({ reason }) => !reason);
    $("compare").hidden = usable.length < 2;
    $("compare").append(...usable.map(({ number, name }) =>
      el("label", { className: "tick" }, el("input", { type: "checkbox", value: number }), ` ${name}`)));
  }

  drawer() {
    const [drawer, opener] = [$("drawer"), $("open-drawer")];
    const toggle = (open) => {
      drawer.hidden = !open;
      opener.setAttribute("aria-expanded", String(open));
      (open ? $("close-drawer") : opener).focus();
    };
    opener.addEventListener("click", () => toggle(drawer.hidden));
    $("close-drawer").addEventListener("click", () => toggle(false));
    drawer.addEventListener("keydown", (event) => {
      if (event.key === "Escape") toggle(false);
    });
  }
}
