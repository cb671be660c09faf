// Marks that the server finds in the text: words that surprise the model, and runs copied from its book.

import { $, counted, el, say, units } from "./dom.js";
import { copiedRun, surprising } from "./sheet.js";
import { askJson, events } from "./stream.js";

const WAIT = 700; // milliseconds after the last change
const VIEWS = ["surprise", "copied"];
let waiting = null;
let asked = null; // { view, text, stop }

// Marks the text for the sheet's view, unless that is done or under way already.
export async function mark(sheet, settings) {
  clearTimeout(waiting);
  const { view, text } = sheet;
  if (asked?.view === view && asked.text === text) return;
  asked?.stop.abort();
  asked = { view, text, stop: new AbortController() };
  if (!VIEWS.includes(view) || !text.trim()) return;
  const told = view === "surprise" ? await surprise(sheet, settings, text, asked.stop.signal) : await copied(sheet, settings, text);
  if (sheet.view === view && told) $("legend").replaceChildren(...told);
}

// The same, once the text has rested for a moment.
export function markLater(sheet, settings, failed) {
  clearTimeout(waiting);
  if (VIEWS.includes(sheet.view)) waiting = setTimeout(() => mark(sheet, settings).catch(failed), WAIT);
}

async function surprise(sheet, settings, text, signal) {
  if (!settings.checkpoint) throw new Error("no checkpoint is chosen");
  try {
    for await (const [name, data] of events("/api/surprise", { text, model: settings.checkpoint.number }, signal)) {
      if (name === "queued") say(`Waiting: place ${data.place} in the line.`);
      else if (name === "progress") say(`Reading the text: ${Math.round((100 * data.done) / data.total)} %.`);
      else if (name === "words") {
        sheet.mark("surprise", text, surprising(data.words));
        say(`${data.bits_per_byte} bits per byte.`);
        const heats = ["6 bits or more", "10", "14", "18"];
        return ["A word costs", ...heats.map((label, number) => el("span", { className: `h${number + 1}`, textContent: label }))];
      }
    }
  } catch (error) {
    if (error.name !== "AbortError") throw error;
  }
  return null;
}

async function copied(sheet, settings, text) {
  const found = (await askJson("/api/copies", { text, model: settings.checkpoint?.number ?? 0 })).copied;
  const runs = [];
  for (const run of found) {
    const start = Math.max(units(text, run.start), runs.at(-1)?.[1] ?? 0); // two runs may share words
    runs.push([start, units(text, run.end), "copied", copiedRun(run)]);
  }
  sheet.mark("copied", text, runs);
  const longest = Math.max(0, ...found.map(({ words }) => words));
  say(found.length ? `Copied from the book: ${counted(found.length, "run")} of five words or more, the longest of ${longest} words.` : "No run of five words or more stands in the book.");
  return found.length ? ["Point at an underlined run to see its place in the book."] : [];
}
