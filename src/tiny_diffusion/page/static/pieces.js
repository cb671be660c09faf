// Pieces of text on the page. A piece is [text, probability]: null for given text; a null text is still masked.

import { el, percent } from "./dom.js";

let limits = [];

export function useLimits(found) {
  limits = found;
}

export const band = (sure) => limits.filter((limit) => sure >= limit).length;

export function paint(place, pieces, before = null) {
  const coloured = place.dataset.view !== "plain";
  place.replaceChildren(
    ...pieces.map(([text, sure], number) => {
      if (text === null) return el("span", { className: `masked w${number % 4}` });
      if (sure === null) return document.createTextNode(text);
      const fresh = before && (before[number] || [null])[0] === null ? " new" : "";
      return el("span", { className: `piece${coloured ? ` c${band(sure)}` : ""}${fresh}`, textContent: text });
    }),
  );
}

// Applies a frame event to the pieces shown so far.
export function changed(pieces, frame) {
  if (frame.pieces) return frame.pieces;
  const found = [...pieces];
  for (const [place, text, sure] of frame.changes) found[place] = [text, sure];
  return found;
}

// The pieces at frame `until` of a draft's film: each frame holds [place, probability, text] of what changed.
export function moment(draft, until) {
  const found = draft.pieces.map(() => [null, null]);
  draft.film.slice(0, until + 1).forEach(({ changes }) => {
    for (const [place, sure, text] of changes) {
      if (sure === undefined) found[place] = [null, null];
      else found[place] = [text ?? draft.pieces[place][0], draft.pieces[place][1] === null ? null : sure];
    }
  });
  return found;
}

// Words as [start, end, probability, parts]: a word's probability is the product of its pieces'.
export function words(marks, text) {
  const found = [];
  for (const [start, end, sure] of marks) {
    const last = found.at(-1);
    if (last && last[1] === start && !/\s/.test(text[start]) && !/\s/.test(text[start - 1])) {
      last[1] = end;
      last[2] *= sure;
      last[3].push([text.slice(start, end), sure]);
    } else found.push([start, end, sure, [[text.slice(start, end), sure]]]);
  }
  return found;
}

export function described([start, end, sure, parts], text) {
  const pieces = parts.length > 1 ? ` (${parts.map(([part, of]) => `${part.trim()} ${percent(of)}`).join(" · ")})` : "";
  return `“${text.slice(start, end).trim()}” had ${percent(sure)}${pieces}`;
}

export function legend(place) {
  const labels = limits.map((limit) => `under ${percent(limit)}`).concat(`${percent(limits.at(-1) ?? 0)} and more`);
  place.replaceChildren(...labels.map((label, number) => el("span", { className: `c${number}`, textContent: label })));
}
