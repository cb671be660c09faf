// Several drafts side by side, of one checkpoint or of several, each live and each to be put on the sheet.

import { counted, el } from "./dom.js";
import { paint } from "./pieces.js";

export class Board {
  constructor(place, take) {
    this.place = place;
    this.take = take;
    this.clear();
  }

  clear() {
    this.made = [];
    this.cards = [];
    this.place.replaceChildren();
    this.place.hidden = true;
  }

  begin(wish, models, names) {
    this.clear();
    const drafts = wish.settings.num_samples;
    this.cards = names.map((name) => Array.from({ length: drafts }, (_, number) => card(name, number, drafts, names.length)));
    this.place.replaceChildren(...this.cards.flat().map((each) => each.root));
    this.place.hidden = false;
    this.place.scrollIntoView({ block: "nearest" });
  }

  live(which, draft, pieces, before) {
    paint(this.cards[which][draft].text, pieces, before);
  }

  done(which, made, stateOf) {
    this.made[which] = made;
    this.cards[which].forEach((each, number) => {
      const draft = made.drafts.find((found) => found.draft === number);
      if (!draft) {
        each.figures.textContent = "This draft could not be written as the settings ask.";
        return;
      }
      paint(each.text, draft.pieces);
      const sure = draft.pieces.filter(([, of]) => of !== null).map(([, of]) => of);
      const mean = Math.exp(sure.reduce((sum, of) => sum + Math.log(Math.max(of, 1e-9)), 0) / Math.max(1, sure.length));
      const copied = draft.longest_copied_words === null ? "" : ` · longest run from the book: ${draft.longest_copied_words} words`;
      each.figures.textContent = `${counted(draft.steps, "step")} · ${Math.round(100 * mean)} % per token, on average${copied}`;
      each.take.disabled = false;
      each.take.addEventListener("click", () => {
        const film = { drafts: [draft], head: made.head, tail: made.tail, wish: made.wish, model: made.model };
        this.take({ ...stateOf(draft), film });
        this.clear();
      });
    });
  }

  // The drafts that there are, for saving; none while the board is empty.
  get film() {
    const made = this.made.filter(Boolean);
    if (!made.length) return null;
    const drafts = made.flatMap((each) => each.drafts.map((draft) => ({ ...draft, model: each.model })));
    return { ...made[0], drafts };
  }
}

function card(name, number, drafts, models) {
  const title = [models > 1 ? name : "", drafts > 1 ? `Draft ${number + 1}` : ""].filter(Boolean).join(", ");
  const text = el("p", { className: "draft", dir: "auto" });
  const figures = el("p", { className: "figures" });
  const take = el("button", { type: "button", textContent: "Put on the sheet", disabled: true, "aria-label": `Put on the sheet: ${title}` });
  const root = el("article", { className: "card", "aria-label": title }, el("header", {}, el("h2", { textContent: title }), take), text, figures);
  return { root, text, figures, take };
}
