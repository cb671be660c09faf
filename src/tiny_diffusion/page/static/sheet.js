// The sheet: a text with marks, its history, and how it is drawn.
// A mark is [start, end, probability]; places count in units of UTF-16, as the browser does.

import { $, el, percent } from "./dom.js";
import { band, described, paint, words } from "./pieces.js";

const GAPS = /\\[\\_{[]|_{3,}|\{[^{}\n]*\}/g;
const PAUSE = 1000; // milliseconds between two keys after which undo stops
const MOST_STATES = 200;
const KEPT = "tiny-diffusion.sheet";

export const gapsOf = (text) =>
  [...text.matchAll(GAPS)].filter(([found]) => !found.startsWith("\\")).map((found) => [found.index, found.index + found[0].length]);

// The marks that survive an edit: those in the parts that both texts begin and end with.
export function moved(marks, before, after) {
  let start = 0;
  let end = 0;
  const most = Math.min(before.length, after.length);
  while (start < most && before[start] === after[start]) start += 1;
  while (end < most - start && before.at(-1 - end) === after.at(-1 - end)) end += 1;
  const shift = after.length - before.length;
  return marks.flatMap(([from, to, ...rest]) => {
    if (to <= start) return [[from, to, ...rest]];
    return from >= before.length - end ? [[from + shift, to + shift, ...rest]] : [];
  });
}

export class Sheet {
  constructor(onChange) {
    this.area = $("text");
    this.backdrop = $("backdrop");
    this.onChange = onChange;
    this.state = { text: "", marks: [], film: null };
    this.past = [];
    this.future = [];
    this.typed = 0;
    this.view = "sure";
    this.found = null; // marks of the views surprise and copied: { view, text, segments: [start, end, class, tip] }
    this.area.addEventListener("input", () => this.typing());
    let kept = this.area.value; // typed before the page was ready, or restored by the browser
    try {
      kept ||= localStorage.getItem(KEPT) || "";
    } catch {
      // a browser that keeps nothing
    }
    if (kept) this.put({ text: kept, marks: [], film: null });
    else this.draw();
  }

  get text() {
    return this.state.text;
  }

  get selection() {
    return [this.area.selectionStart, this.area.selectionEnd];
  }

  // A new state that undo can leave again.
  put(state, caret = state.text.length) {
    this.remember();
    this.typed = 0;
    this.show(state, caret);
  }

  typing() {
    const text = this.area.value;
    if (Date.now() - this.typed > PAUSE || Math.abs(text.length - this.text.length) > 1) this.remember();
    this.typed = Date.now();
    this.state = { text, marks: moved(this.state.marks, this.text, text), film: null };
    this.settled();
  }

  insert(text) {
    const [start, end] = this.selection;
    const before = this.text.slice(0, start);
    const after = this.text.slice(end);
    const put = `${/\S$/.test(before) ? " " : ""}${text}${/^[\p{L}\p{N}]/u.test(after) ? " " : ""}`;
    const whole = before + put + after;
    this.put({ text: whole, marks: moved(this.state.marks, this.text, whole), film: null }, before.length + put.length);
    this.area.focus();
  }

  undo() {
    this.step(this.past, this.future);
  }

  redo() {
    this.step(this.future, this.past);
  }

  step(from, to) {
    if (!from.length) return;
    to.push(this.state);
    this.typed = 0;
    this.show(from.pop());
  }

  remember() {
    this.past.push(this.state);
    if (this.past.length > MOST_STATES) this.past.shift();
    this.future = [];
  }

  show(state, caret = state.text.length) {
    this.state = state;
    this.area.value = state.text;
    this.area.setSelectionRange(caret, caret);
    this.settled();
  }

  settled() {
    try {
      localStorage.setItem(KEPT, this.text);
    } catch {
      // a browser that keeps nothing
    }
    this.draw();
    this.onChange();
  }

  // While a model writes, and while the film is shown, the text cannot be changed.
  live(head, pieces, tail, before) {
    this.area.readOnly = true;
    this.backdrop.dataset.view = this.view === "plain" ? "plain" : "sure";
    paint(this.backdrop, [[head, null], ...pieces, [tail, null]], before && [[head, null], ...before, [tail, null]]);
  }

  rest() {
    this.area.readOnly = false;
    this.draw();
  }

  mark(view, text, segments) {
    this.found = { view, text, segments };
    this.draw();
  }

  get segments() {
    if (this.view === "surprise" || this.view === "copied") {
      const fits = this.found && this.found.view === this.view && this.found.text === this.text;
      return fits ? this.found.segments : [];
    }
    const gaps = gapsOf(this.text).map(([start, end]) => [start, end, "gap", "a gap: Fill gaps writes here"]);
    if (this.view === "plain") return gaps;
    const pieces = words(this.state.marks, this.text).map((word) => [word[0], word[1], `piece c${band(word[2])}`, described(word, this.text)]);
    return [...pieces, ...gaps].sort((a, b) => a[0] - b[0]);
  }

  draw() {
    const parts = [];
    let place = 0;
    for (const [start, end, look] of this.segments) {
      if (start < place) continue;
      parts.push(this.text.slice(place, start), el("span", { className: look, textContent: this.text.slice(start, end) }));
      parts.at(-1).dataset.at = start;
      place = end;
    }
    this.backdrop.replaceChildren(...parts, this.text.slice(place), "\u200b"); // an empty last line counts too
  }

  // What is known of the text at a place; empty if nothing is.
  tell(place) {
    if (this.area.readOnly) return "";
    const at = this.segments.find(([start, end]) => start <= place && place < end);
    return at ? at[3] : "";
  }
}

export function surprising(found) {
  let place = 0;
  const limits = [6, 10, 14, 18];
  return found.map(([text, bits]) => {
    const start = place + (text.length - text.trimStart().length);
    place += text.length;
    const heat = limits.filter((limit) => bits >= limit).length;
    return [start, place, heat ? `h${heat}` : "calm", `“${text.trim()}” costs ${bits} bits`];
  });
}

export function copiedRun({ words: count, place, excerpt }) {
  return `${count} words that stand ${percent(place)} into the book: “${excerpt}”`;
}
