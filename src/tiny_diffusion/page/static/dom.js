// Small helpers. Text always goes in as text: nothing here, or elsewhere, reads markup.

export const $ = (id) => document.getElementById(id);

// An element with properties (a class, a text ...), attributes whose names hold a hyphen, and children.
export function el(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key.includes("-") || key === "role" || key === "for") made.setAttribute(key, value);
    else made[key] = value;
  }
  made.append(...children);
  return made;
}

export function say(text) {
  $("status").textContent = text;
}

export function warn(text) {
  $("notice").textContent = text;
  $("notice").hidden = !text;
}

export const percent = (share) => (share > 0 && share < 0.005 ? "under 1 %" : `${Math.round(100 * share)} %`);

export const counted = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;

export function duration(seconds) {
  if (seconds === null || !Number.isFinite(seconds)) return "?";
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

// The browser counts in units of UTF-16, the server in characters.
export const characters = (text, units) => [...text.slice(0, units)].length;

export function units(text, count) {
  let place = 0;
  for (; count > 0 && place < text.length; count -= 1) place += text.codePointAt(place) > 0xffff ? 2 : 1;
  return place;
}

export const unitsFromEnd = (text, count) => units(text, [...text].length - count);

export function command(text) {
  const code = el("code", { textContent: text, tabIndex: 0 });
  const copy = el("button", { type: "button", textContent: "Copy", title: text });
  copy.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      copy.textContent = "Copied";
      setTimeout(() => (copy.textContent = "Copy"), 1500);
    } catch {
      getSelection().selectAllChildren(code); // without https, only the user may copy
    }
  });
  return el("p", { className: "command" }, code, copy);
}
