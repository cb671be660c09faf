"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const [play, at, speed, step, about] = ["play", "at", "speed", "step", "about"].map((id) => document.getElementById(id));
const stages = [...document.querySelectorAll(".stage")].map((stage) => [...stage.children]);
const finals = stages.map((spans) => spans.map((span) => span.textContent));
const given = stages.map((spans) => spans.map((span) => span.className === "given"));
let timer = null;

// The pieces in frame `until` of a film: confidence, text and frame of each; null if masked.
function pieces(film, until, size) {
  const found = Array(size).fill(null);
  film.slice(0, until + 1).forEach((frame, number) => {
    for (const [place, confidence, text] of frame.changes) {
      found[place] = confidence === undefined ? null : { confidence, text, number };
    }
  });
  return found;
}

function draw() {
  const said = data.films.map((film, which) => {
    const until = Math.min(Number(at.value), film.length - 1);
    pieces(film, until, finals[which].length).forEach((piece, place) => {
      const span = stages[which][place];
      const text = piece && piece.text !== undefined ? piece.text : finals[which][place];
      if (span.textContent !== text) span.textContent = text;
      let look = "masked", told = "to come";
      if (piece && given[which][place]) {
        look = told = "given";
      } else if (piece) {
        look = "c" + data.limits.filter((limit) => piece.confidence >= limit).length;
        look += piece.number === until && until < film.length - 1 ? " new" : "";
        told = `confidence ${Math.round(100 * piece.confidence)} %, written in step ${film[piece.number].step}`;
      }
      span.className = look;
      span.title = told;
    });
    return `step ${film[until].step} of ${film[until].steps}`;
  });
  step.textContent = said[0];
}

function stop() {
  clearInterval(timer);
  timer = null;
  play.textContent = "Play";
}

function start() {
  if (Number(at.value) >= Number(at.max)) at.value = 0;
  draw();
  clearInterval(timer);
  timer = setInterval(() => {
    at.value = Number(at.value) + 1;
    draw();
    if (Number(at.value) >= Number(at.max)) stop();
  }, Math.max(16, 1000 * data.pace / Number(speed.value)));
  play.textContent = "Pause";
}

play.addEventListener("click", () => (timer === null ? start() : stop()));
at.addEventListener("input", () => { stop(); draw(); });
speed.addEventListener("change", () => { if (timer !== null) start(); });
document.querySelector("main").addEventListener("click", (event) => {
  document.querySelectorAll(".touched").forEach((span) => span.classList.remove("touched"));
  if (!event.target.title) return;
  event.target.classList.add("touched");
  about.textContent = (event.target.classList.contains("masked") ? "" : `“${event.target.textContent.trim()}”: `) + event.target.title;
});
document.getElementById("controls").hidden = false;
if (data.films.some((film) => film.length > 1) && !matchMedia("(prefers-reduced-motion: reduce)").matches) start();
else draw();
