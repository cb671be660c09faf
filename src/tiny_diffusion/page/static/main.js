// Starts the page: tabs, buttons, keys, and what lies under the pointer.

import { Blind } from "./blind.js";
import { $, say, warn } from "./dom.js";
import { legend, moment, useLimits } from "./pieces.js";
import { RunView } from "./run.js";
import { save } from "./save.js";
import { Settings } from "./settings.js";
import { Sheet, gapsOf } from "./sheet.js";
import { askJson } from "./stream.js";
import { mark, markLater } from "./views.js";
import { Desk } from "./writing.js";

const SECOND = 1000;
let start, sheet, settings, desk, playing = null;

async function begin() {
  start = await askJson("/api/start");
  useLimits(start.band_limits);
  sheet = new Sheet(refresh);
  settings = new Settings(start, refresh);
  desk = new Desk(sheet, settings);
  tabs({ run: new RunView($("run"), start), blind: new Blind($("blind"), settings) });
  $("copied-view").hidden = !start.has_book;
  buttons();
  keys();
  pointer();
  const missing = start.checkpoints.filter(({ reason }) => reason);
  if (missing.length) warn(missing.map(({ reason }) => reason).join(" "));
  look();
  refresh();
}

function refresh() {
  if (!desk) return;
  const ready = !desk.busy && settings.checkpoint !== null;
  const [from, to] = sheet.selection;
  const task = desk.task;
  const usable = { continue: ready, fill: ready && settings.canFill && gapsOf(sheet.text).length > 0, rewrite: ready && settings.canFill && from < to };
  for (const [id, can] of Object.entries(usable)) {
    $(id).disabled = !can;
    $(id).classList.toggle("first", id === task);
  }
  $("gap").disabled = desk.busy || !settings.canFill;
  $("undo").disabled = desk.busy || !sheet.past.length;
  $("redo").disabled = desk.busy || !sheet.future.length;
  const film = sheet.state.film;
  $("film").hidden = !film || desk.busy;
  if (film && $("film").film !== film) {
    $("film").film = film;
    $("at").max = film.drafts[0].film.length - 1;
    $("at").value = $("at").max;
  }
  tellStep();
  if (!desk.busy) markLater(sheet, settings, (error) => warn(error.message));
}

function buttons() {
  for (const id of ["continue", "fill", "rewrite"]) $(id).addEventListener("click", () => desk.write(id));
  // A button takes the focus from the text; the selection must stay.
  for (const button of document.querySelectorAll(".tools button")) button.addEventListener("pointerdown", (event) => event.preventDefault());
  $("gap").addEventListener("click", () => sheet.insert($("gap-kind").value));
  $("undo").addEventListener("click", () => sheet.undo());
  $("redo").addEventListener("click", () => sheet.redo());
  $("stop").addEventListener("click", () => desk.stop());
  $("at").addEventListener("input", () => { pause(); showStep(); });
  $("play").addEventListener("click", () => (playing === null ? play() : pause()));
  $("save").addEventListener("click", () => {
    save($("save-kind").value, sheet, sheet.state.film || desk.board.film, settings, start.version).catch((error) => warn(error.message));
  });
  for (const radio of document.querySelectorAll("input[name=view]")) radio.addEventListener("change", look);
  document.addEventListener("selectionchange", () => {
    if (document.activeElement !== sheet.area) return;
    refresh();
    const told = sheet.tell(sheet.selection[0]);
    $("told").textContent = told;
    $("told").hidden = !told;
  });
}

function keys() {
  document.addEventListener("keydown", (event) => {
    if ($("sheet").hidden) return;
    const held = event.ctrlKey || event.metaKey;
    const act = (work) => { event.preventDefault(); work(); };
    if (event.key === "Escape" && desk.busy) act(() => desk.stop());
    else if (held && event.key === "Enter" && settings.checkpoint) act(() => desk.write(desk.task));
    else if (held && event.code === "KeyG" && settings.canFill && !desk.busy) act(() => sheet.insert($("gap-kind").value));
    else if (event.target === sheet.area && held && event.code === "KeyZ") act(() => (event.shiftKey ? sheet.redo() : sheet.undo()));
    else if (event.target === sheet.area && held && event.code === "KeyY") act(() => sheet.redo());
  });
}

function pointer() {
  const tip = $("tip");
  sheet.area.addEventListener("pointermove", (event) => {
    const span = document.elementsFromPoint(event.clientX, event.clientY).find((each) => each.dataset.at !== undefined);
    tip.textContent = span ? sheet.tell(Number(span.dataset.at)) : "";
    tip.hidden = !tip.textContent;
    if (tip.hidden) return;
    tip.style.left = `${Math.max(8, Math.min(event.clientX, innerWidth - tip.offsetWidth - 8))}px`;
    tip.style.top = `${event.clientY + 18 + tip.offsetHeight > innerHeight ? event.clientY - 18 - tip.offsetHeight : event.clientY + 18}px`;
  });
  sheet.area.addEventListener("pointerleave", () => (tip.hidden = true));
}

// The chosen view; surprise and copied runs are asked of the server.
async function look() {
  sheet.view = document.querySelector("input[name=view]:checked").value;
  sheet.draw();
  $("legend").replaceChildren();
  if (sheet.view === "sure") legend($("legend"));
  try {
    await mark(sheet, settings);
  } catch (error) {
    warn(error.message);
  }
}

function showStep() {
  const { drafts: [draft], head, tail } = sheet.state.film;
  const at = Number($("at").value);
  if (at >= Number($("at").max)) sheet.rest();
  else sheet.live(head, moment(draft, at), tail, at > 0 ? moment(draft, at - 1) : null);
  tellStep();
}

function tellStep() {
  const film = sheet.state.film;
  if (!film) return;
  const frames = film.drafts[0].film;
  const text = `step ${$("at").value} of ${frames.length - 1}`;
  $("at-step").textContent = text;
  $("at").setAttribute("aria-valuetext", text);
}

function play() {
  if (Number($("at").value) >= Number($("at").max)) $("at").value = 0;
  const seconds = Math.max(0.03, Math.min(0.15, 6 / Number($("at").max)));
  $("play").textContent = "Pause";
  playing = setInterval(() => {
    $("at").value = Number($("at").value) + 1;
    showStep();
    if (Number($("at").value) >= Number($("at").max)) pause();
  }, seconds * SECOND);
  showStep();
}

function pause() {
  clearInterval(playing);
  playing = null;
  $("play").textContent = "Replay";
}

function tabs(views) {
  const all = [...document.querySelectorAll("[role=tab]")];
  const choose = (tab) => {
    for (const each of all) {
      const chosen = each === tab;
      each.setAttribute("aria-selected", String(chosen));
      each.tabIndex = chosen ? 0 : -1;
      const panel = each.getAttribute("aria-controls");
      $(panel).hidden = !chosen;
      if (views[panel]) chosen ? views[panel].open() : views[panel].close();
    }
  };
  all.forEach((tab, number) => {
    tab.addEventListener("click", () => choose(tab));
    tab.addEventListener("keydown", ({ key }) => {
      const to = { ArrowLeft: number - 1, ArrowRight: number + 1, Home: 0, End: all.length - 1 }[key];
      if (to === undefined) return;
      const next = all[(to + all.length) % all.length];
      choose(next);
      next.focus();
    });
  });
}

begin().catch((error) => { say(""); warn(error.message); });
