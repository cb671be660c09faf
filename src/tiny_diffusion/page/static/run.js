// The run tab: a training as its log tells it, while it goes on in another terminal.

import { command, duration, el } from "./dom.js";
import { askJson } from "./stream.js";

const EVERY = 2000; // milliseconds between two looks
const [WIDE, HIGH, LEFT, BOTTOM, TOP] = [640, 240, 48, 28, 10];
const STATES = {
  none: "No training has begun in this folder.",
  running: "Training.",
  finished: "Finished.",
  interrupted: "Stopped; it can go on.",
  silent: "No news for a while: its program may have ended. It can go on.",
};

export class RunView {
  constructor(place, start) {
    this.start = start;
    this.number = 0;
    this.timer = null;
    this.shown = "";
    const pick = el("select", {}, ...start.runs.map((folder, number) => el("option", { value: number, textContent: folder })));
    pick.addEventListener("change", () => {
      this.number = Number(pick.value);
      this.look();
    });
    this.state = el("p", { role: "status" });
    this.figures = el("dl", { className: "figures-list" });
    this.curves = el("div");
    this.samples = el("div");
    this.commands = el("div");
    const choice = el("label", { hidden: start.runs.length < 2 }, "Run ", pick);
    place.append(el("h2", { textContent: "The run" }), choice, this.state, this.figures, this.curves, this.samples, this.commands);
  }

  open() {
    this.look();
    this.timer ??= setInterval(() => document.hidden || this.look(), EVERY);
  }

  close() {
    clearInterval(this.timer);
    this.timer = null;
  }

  async look() {
    try {
      const run = await askJson(`/api/runs/${this.number}`);
      const text = JSON.stringify(run);
      if (text !== this.shown) this.show(run);
      this.shown = text;
    } catch (error) {
      this.state.textContent = error.message;
    }
  }

  show(run) {
    const state = STATES[run.state] + (run.damaged ? ` ${run.damaged} lines of its log cannot be read.` : "");
    if (this.state.textContent !== state) this.state.textContent = state;
    const best = Math.min(...run.bits_per_byte.map(([, bits]) => bits));
    const rows = {
      Step: run.step === null ? null : `${run.step.toLocaleString("en")} of ${run.total.toLocaleString("en")}`,
      Stage: run.stage === null ? null : `${run.stage}, epoch ${run.epoch}`,
      "Loss, nats per token": run.loss.length ? run.loss.at(-1)[1].toFixed(3) : null,
      "Best bits per byte": Number.isFinite(best) ? best.toFixed(3) : null,
      "Time left": run.state === "running" ? duration(run.seconds_left) : null,
    };
    const told = Object.entries(rows).filter(([, value]) => value !== null);
    this.figures.replaceChildren(...told.map(([name, value]) => el("div", {}, el("dt", { textContent: name }), el("dd", { textContent: value }))));
    this.curves.replaceChildren(
      ...chart("Training loss, nats per token", run.loss, false),
      ...chart("Validation, bits per byte", run.bits_per_byte, true),
    );
    const texts = run.samples.toReversed().map(({ step, text }) =>
      el("div", { className: "sample" }, el("p", { textContent: text, dir: "auto" }), el("small", { textContent: `written at step ${step}` })));
    this.samples.replaceChildren(...(texts.length ? [el("h3", { textContent: "Samples so far" }), ...texts] : []));
    this.offer(run);
  }

  offer(run) {
    const parts = [];
    if (run.report) parts.push(el("p", {}, el("a", { href: `/runs/${this.number}/report`, target: "_blank", rel: "noopener", textContent: "The report of its evaluation" })));
    if (run.state === "none" || run.state === "finished") parts.push(el("h3", { textContent: "To train, type this in a terminal" }), command(run.commands.train));
    if (run.state === "interrupted" || run.state === "silent") parts.push(el("h3", { textContent: "To go on, type this in a terminal" }), command(run.commands.resume));
    if (run.state === "finished" && !run.report) parts.push(el("h3", { textContent: "To see how good it is" }), command(run.commands.evaluate));
    const text = parts.map((part) => part.textContent).join("|");
    if (this.offered === text) return; // a button that is being used stays
    this.offered = text;
    this.commands.replaceChildren(...parts);
  }
}

// A curve as a figure: points (step, value), with dots where there are few. Nothing for less than two points.
function chart(title, points, dots) {
  if (points.length < 2) return [];
  const [steps, values] = [points.map(([step]) => step), points.map(([, value]) => value)];
  const [low, high, last] = [Math.min(...values), Math.max(...values), Math.max(...steps)];
  const x = (step) => LEFT + ((WIDE - LEFT - 8) * step) / last;
  const y = (value) => TOP + ((HIGH - TOP - BOTTOM) * (high - value)) / (high - low || 1);
  const picture = svg("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, role: "img", "aria-label": `${title}: from ${values[0].toFixed(3)} to ${values.at(-1).toFixed(3)} at step ${Math.round(last)}` });
  for (const share of [0, 0.5, 1]) {
    const value = low + (high - low) * share;
    picture.append(svg("line", { class: "grid", x1: LEFT, x2: WIDE - 8, y1: y(value), y2: y(value) }));
    picture.append(svg("text", { x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }, value.toFixed(2)));
    picture.append(svg("text", { x: x(last * share), y: HIGH - 8, "text-anchor": share === 0 ? "start" : share === 1 ? "end" : "middle" }, String(Math.round(last * share))));
  }
  picture.append(svg("polyline", { class: "curve", points: points.map(([step, value]) => `${x(step).toFixed(1)},${y(value).toFixed(1)}`).join(" ") }));
  if (dots) picture.append(...points.map(([step, value]) => svg("circle", { class: "dot", cx: x(step), cy: y(value), r: 3 })));
  return [el("figure", {}, el("figcaption", { textContent: title }), picture)];
}

function svg(name, attributes, text = "") {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(text);
  return made;
}
