// What the buttons do: a wish goes to the server, and its events come back onto the sheet or the board.

import { Board } from "./board.js";
import { $, characters, counted, say, units, unitsFromEnd, warn } from "./dom.js";
import { changed, words } from "./pieces.js";
import { gapsOf } from "./sheet.js";
import { events } from "./stream.js";

const DOING = { continue: "Writing on", fill: "Filling the gaps", rewrite: "Rewriting" };

export class Desk {
  constructor(sheet, settings) {
    this.sheet = sheet;
    this.settings = settings;
    this.board = new Board($("board"), (state) => sheet.put(state));
    this.stopping = null;
    this.passage = null;
  }

  get busy() {
    return this.stopping !== null;
  }

  // The task that Ctrl+Enter does now.
  get task() {
    const [start, end] = this.sheet.selection;
    if (this.settings.canFill && start < end) return "rewrite";
    return this.settings.canFill && gapsOf(this.sheet.text).length ? "fill" : "continue";
  }

  stop() {
    this.stopping?.abort();
  }

  async write(task) {
    if (this.busy) return;
    const text = this.sheet.text;
    const [start, end] = this.sheet.selection;
    const models = this.settings.models;
    const settings = this.settings.wishes();
    const wish = { task, text, settings, start: characters(text, start), end: characters(text, end) };
    this.stopping = new AbortController();
    warn("");
    this.changed();
    try {
      if (models.length > 1 || settings.num_samples > 1) await this.onBoard(wish, models);
      else await this.onSheet(wish, models[0], start);
    } catch (error) {
      say(error.name === "AbortError" ? "Stopped." : "");
      if (error.name !== "AbortError") warn(error.message);
    } finally {
      this.stopping = null;
      this.sheet.rest();
      this.changed();
    }
  }

  async onSheet(wish, model, start) {
    this.board.clear();
    const made = await this.follow(wish, model, (about, pieces, before) => this.sheet.live(about.head, pieces, about.tail, before));
    const state = stateOf(made.drafts[0], made);
    const caret = wish.task === "continue" ? state.text.length : start;
    this.sheet.put({ ...state, film: { drafts: made.drafts, head: made.head, tail: made.tail, wish, model } }, caret);
    const count = words(state.marks, state.text).filter(([from, to]) => state.text.slice(from, to).trim()).length;
    say(`Written: ${counted(count, "word")} in ${counted(made.drafts[0].steps, "step")}.`);
  }

  async onBoard(wish, models) {
    const names = models.map((model) => this.settings.checkpoints[model].name);
    this.board.begin(wish, models, names);
    await Promise.all(
      models.map(async (model, which) => {
        const made = await this.follow(wish, model, (about, pieces, before, draft) => this.board.live(which, draft, pieces, before));
        this.board.done(which, made, (draft) => stateOf(draft, made));
      }),
    );
    say("All drafts are there. Put the one you like on the sheet.");
  }

  // Follows a stream to its end; `live` draws each moment, at most once for each picture of the screen.
  async follow(wish, model, live) {
    const made = { head: "", tail: "", drafts: [], wish, model };
    const pieces = [];
    const drawn = [];
    let due = false;
    const draw = () => {
      due = false;
      if (!this.busy) return;
      pieces.forEach((now, draft) => live(made, now, drawn[draft] || null, draft));
      pieces.forEach((now, draft) => (drawn[draft] = now));
    };
    say(`${DOING[wish.task]} …`);
    for await (const [name, data] of events("/api/write", { ...wish, model }, this.stopping.signal)) {
      if (name === "queued") say(`Waiting: ${data.place === 1 ? "you are next" : `place ${data.place} in the line`}.`);
      else if (name === "start") {
        say(`${DOING[wish.task]} …`);
        made.head = wish.text.slice(0, units(wish.text, data.head));
        made.tail = wish.text.slice(unitsFromEnd(wish.text, data.tail));
      } else if (name === "frame") {
        pieces[data.draft] = changed(pieces[data.draft] || [], data);
        if (!due) requestAnimationFrame(draw);
        due = true;
      } else if (name === "draft") made.drafts.push(data);
    }
    if (!made.drafts.length) throw new Error("the connection broke before the text was finished");
    return made;
  }

  changed() {
    $("stop").hidden = !this.busy;
    $("continue").hidden = this.busy;
    $("sheet").setAttribute("aria-busy", String(this.busy));
    this.sheet.onChange();
  }
}

// The sheet's state with a draft in its place, each of its written pieces marked with its probability.
export function stateOf(draft, { head, tail }) {
  const marks = [];
  let place = head.length;
  for (const [text, sure] of draft.pieces) {
    if (sure !== null) marks.push([place, place + text.length, sure]);
    place += text.length;
  }
  return { text: head + draft.text + tail, marks, film: null };
}
