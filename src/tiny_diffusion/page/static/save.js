// Saves the sheet, or the drafts on the board, as text, as an animation, or as JSON.

import { $, el } from "./dom.js";
import { ask } from "./stream.js";

const PACE = 0.1; // seconds of a frame

export async function save(kind, sheet, film, settings, version) {
  if (kind === "txt") return keep("sheet.txt", "text/plain", film && !sheet.state.film ? film.drafts.map(({ text }) => film.head + text + film.tail).join("\n\n\n") : sheet.text);
  if (kind === "json") return keep("sheet.json", "application/json", JSON.stringify(record(sheet, film, settings, version), null, 1));
  if (!film) throw new Error("an animation shows how a text was written: let the model write one first");
  const films = film.drafts.slice(0, settings.limits.most_drafts).map((draft) => whole(draft, film));
  const page = await (await ask("/api/animation", { films, pace: PACE })).text();
  return keep("film.html", "text/html", page);
}

function record(sheet, film, settings, version) {
  const drafts = (film?.drafts || []).map(({ text, pieces, steps, film: frames, model }) => ({
    checkpoint: settings.checkpoints[model ?? film.model].name,
    text, steps,
    pieces: pieces.map(([piece, sure]) => ({ text: piece, given: sure === null, probability: sure })),
    frames,
  }));
  const wish = film && { task: film.wish.task, before: film.head, after: film.tail, settings: film.wish.settings };
  return { program: `tiny-diffusion ${version}`, text: sheet.text, marks: sheet.state.marks, ...wish, drafts };
}

// A draft's film with what stands before and after it, as given pieces.
function whole({ pieces, film }, { head, tail }) {
  const last = pieces.length + 1;
  const frames = film.map(({ step, steps, changes }, number) => ({
    step, steps,
    changes: [...(number ? [] : [[0, 1], [last, 1]]), ...changes.map(([place, ...rest]) => [place + 1, ...rest])],
  }));
  return { pieces: [[head, null], ...pieces, [tail, null]], frames };
}

function keep(name, type, text) {
  const link = el("a", { href: URL.createObjectURL(new Blob([text], { type: `${type};charset=utf-8` })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  $("status").textContent = `Saved as ${name}.`;
}
