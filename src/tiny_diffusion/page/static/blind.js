// The blind test: one passage after another, one key for each answer, and at the end the figures.

import { command, el, percent } from "./dom.js";
import { askJson, events } from "./stream.js";

const VERDICTS = [["real", "The book (R)", "r"], ["generated", "The model (G)", "g"]];
const ASKED = {
  verdict: "Who wrote this: the book's author, or the model?",
  style: "Style: from 1, not the book's, to 5, wholly the book's",
  fluency: "Fluency: from 1, stumbles, to 5, reads with ease",
  sense: "Sense: from 1, none, to 5, wholly clear",
};
const range = ([low, high]) => `${percent(low)} to ${percent(high)}`;

export class Blind {
  constructor(place, settings) {
    this.place = place;
    this.settings = settings;
    this.rater = null;
    this.question = null;
    this.beginning = false;
    this.body = el("div");
    this.trouble = el("p", { role: "alert" });
    place.append(el("h2", { textContent: "The book or the model?" }), this.trouble, this.body);
    this.listen = (event) => this.key(event);
  }

  open() {
    document.addEventListener("keydown", this.listen);
    if (this.question === null && !this.beginning) this.work(() => this.welcome());
  }

  close() {
    document.removeEventListener("keydown", this.listen);
  }

  async work(act) {
    this.trouble.textContent = "";
    try {
      await act();
    } catch (error) {
      this.trouble.textContent = error.message;
    }
  }

  async welcome() {
    const about = await askJson("/api/blind");
    if (!about.begun) {
      this.offer(about);
      return;
    }
    const name = el("input", { type: "text", required: true, maxLength: 20, autocomplete: "off" });
    const rates = el("input", { type: "checkbox" });
    const form = el("form", { className: "joinform" },
      el("label", {}, "Your name ", name),
      el("label", { className: "tick" }, rates, " Rate style, fluency and sense too"),
      el("button", { textContent: "Begin, or go on" }));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.work(async () => {
        // Who goes on keeps the way they began.
        const known = about.raters.some(({ rater }) => rater === name.value.trim());
        const state = await askJson("/api/blind/join", { rater: name.value, rates: known ? null : rates.checked });
        this.rater = name.value;
        this.show(state);
      });
    });
    const rows = about.raters.map(({ rater, done, total }) => [rater, `${done} of ${total}`]);
    this.body.replaceChildren(
      el("p", { textContent: `Passages of ${about.words ?? "some"} words each: half of them from ${about.book}, half by the model (${about.made}). Say which is which.` }),
      form, ...table("Raters so far", ["name", "passages"], rows), again("Results", () => this.work(() => this.results())));
  }

  offer(about) {
    const most = this.settings.limits.most_passages;
    const passages = el("input", { type: "number", required: true, min: 2, step: 2, max: most, value: Math.min(about.passages, most) });
    const seed = el("input", { type: "number", required: true, min: 0, max: 4294967295, value: about.seed });
    const button = el("button", { textContent: "Begin a test" });
    const form = el("form", { className: "joinform" }, el("label", {}, "Passages ", passages), el("label", {}, "Seed ", seed), button);
    const told = el("p", { role: "status" });
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      button.disabled = this.beginning = true;
      await this.work(() => this.begin({ passages: Number(passages.value), seed: Number(seed.value) }, told));
      button.disabled = this.beginning = false;
    });
    this.body.replaceChildren(
      el("p", { textContent: "Nobody has begun a test. Half of its passages are from the part of the book that no model learnt from; the checkpoint at the top of the page writes the other half. That can take some minutes." }),
      form, told, el("p", { textContent: "Or in a terminal:" }), command(about.command), again("Look again", () => this.work(() => this.welcome())));
  }

  async begin(wish, told) {
    told.textContent = "Writing the passages …";
    try {
      for await (const [name, data] of events("/api/blind/begin", { ...wish, model: this.settings.checkpoint?.number ?? 0 })) {
        if (name === "queued") told.textContent = `Waiting: ${data.place === 1 ? "you are next" : `place ${data.place} in the line`}.`;
        else if (name === "progress") told.textContent = `${data.done} of ${data.total} passages written.`;
      }
    } finally {
      told.textContent = "";
    }
    await this.welcome();
  }

  show(state) {
    this.question = state.question ?? null;
    if (!this.question) {
      this.score(state);
      return;
    }
    const { position, total, text, ask } = this.question;
    const passage = el("div", { className: "paper" }, el("p", { className: "passage", textContent: text, dir: "auto" }));
    const choices = ask === "verdict" ? VERDICTS : [1, 2, 3, 4, 5].map((value) => [value, String(value), String(value)]);
    const answers = choices.map(([value, label, key]) => {
      const button = el("button", { type: "button", textContent: label, "aria-keyshortcuts": key });
      button.addEventListener("click", () => this.judge(value));
      return button;
    });
    const heading = el("h3", { textContent: `Passage ${position} of ${total}`, tabIndex: -1 });
    this.body.replaceChildren(heading, passage, el("p", { textContent: ASKED[ask], id: "asked" }),
      el("div", { className: "answers", role: "group", "aria-labelledby": "asked" }, ...answers,
        again("Take back (U)", () => this.undo()), again("Pause", () => { this.question = null; this.work(() => this.welcome()); })));
    heading.focus(); // so that a screen reader reads on from here
  }

  judge(value) {
    const { position, ask } = this.question;
    return this.work(async () => this.show(await askJson("/api/blind/judge", { rater: this.rater, position, ask, value })));
  }

  undo() {
    return this.work(async () => this.show(await askJson("/api/blind/undo", { rater: this.rater })));
  }

  key(event) {
    if (!this.question || event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select, textarea")) return;
    const key = event.key.toLowerCase();
    const verdict = VERDICTS.find(([, , of]) => of === key);
    if (key === "u") this.undo();
    else if (this.question.ask === "verdict" && verdict) this.judge(verdict[0]);
    else if (this.question.ask !== "verdict" && /^[1-5]$/.test(key)) this.judge(Number(key));
  }

  score({ score, wrong }) {
    const [low, high] = score.interval;
    const open = low <= 0.5 && high >= 0.5;
    const rows = wrong.map(({ position, real, text }) => [position, real ? "the book" : "the model", text.length > 90 ? `${text.slice(0, 87)}…` : text]);
    this.body.replaceChildren(
      el("p", { textContent: `${score.rater}: ${score.right} of ${score.answers} right, ${percent(score.accuracy)} (95 % interval ${range(score.interval)}); ${open ? "guessing cannot be ruled out" : "that is not guessing"}.` }),
      ...table("What fooled you", ["passage", "it was by", "begins with"], rows),
      again("Results of all", () => this.work(() => this.results())));
  }

  async results() {
    const found = await askJson("/api/blind/results");
    const scores = found.scores.map((row) => [row.rater, `${row.right} of ${row.answers}`, percent(row.accuracy), range(row.interval), percent(row.fooled), percent(row.doubted)]);
    const ratings = found.differences.map((row) => [row.aspect, row.real.toFixed(2), row.generated.toFixed(2), row.difference.toFixed(2), row.interval.map((of) => of.toFixed(2)).join(" to ")]);
    const agreed = found.agreement.map((row) => [row.question, row.raters, row.alpha === null ? "undefined" : row.alpha.toFixed(2)]);
    const said = { true: "People tell the two apart.", false: "People are wrong more often than by guessing.", null: "Whether people tell the two apart is open." };
    this.body.replaceChildren(
      el("p", { textContent: scores.length ? said[String(found.told_apart)] : "Nobody has finished yet." }),
      ...table("Who can tell the book from the model", ["rater", "right", "accuracy", "95 % interval", "model taken for book", "book taken for model"], scores),
      ...(found.resampled_accuracy ? [el("p", { textContent: `All raters, also over other raters and passages (bootstrap): ${range(found.resampled_accuracy)}. Guessing is 50 %.` })] : []),
      ...table("Ratings, 1 to 5", ["aspect", "book", "model", "book minus model", "95 % interval"], ratings),
      ...table("Agreement (Krippendorff's alpha): 1 is perfect, 0 is chance", ["question", "raters", "alpha"], agreed),
      again("Back", () => this.work(() => this.welcome())));
  }
}

function again(label, act) {
  const button = el("button", { type: "button", textContent: label });
  button.addEventListener("click", act);
  return button;
}

function table(title, head, rows) {
  if (!rows.length) return [];
  const line = (cells, kind) => el("tr", {}, ...cells.map((cell) => el(kind, kind === "th" ? { scope: "col", textContent: cell } : { textContent: cell })));
  return [el("div", { className: "scroll", tabIndex: 0, role: "group", "aria-label": title }, el("table", {}, el("caption", { textContent: title }), el("thead", {}, line(head, "th")), el("tbody", {}, ...rows.map((row) => line(row, "td")))))];
}
