"use strict";
// Asks for answers that were not there when the page was made, and puts them in their place. Where
// scripts do not run, the page asks for itself anew.
const PAUSE = 600;

async function follow(slot) {
  for (let failures = 0; slot.dataset.job; ) {
    await new Promise((done) => setTimeout(done, PAUSE));
    let text;
    try {
      const answer = await fetch(slot.dataset.job);
      text = await answer.text();
      failures = 0;
    } catch {
      if (++failures < 5) continue;
      const words = slot.querySelector("[role=status]");
      if (words) words.textContent = "The server is gone; start `vecmill ui` again, and load the page anew.";
      slot.querySelector("progress")?.remove();
      return;
    }
    const made = new DOMParser().parseFromString(text, "text/html").querySelector(".slot");
    if (!made) return;
    slot = place(slot, made);
  }
  for (const button of document.querySelectorAll("form button:disabled")) button.disabled = false;
}

// What is said aloud stays the same element, so that each change is told once and no more.
function place(slot, made) {
  const said = slot.querySelector("[role=status]"), next = made.querySelector("[role=status]");
  if (!made.dataset.job || !said || !next) {
    slot.replaceWith(made);
    if (made.parentElement?.id === "answer") made.querySelector("#found")?.focus({ preventScroll: true });
    return made;
  }
  if (said.textContent !== next.textContent) said.textContent = next.textContent;
  const count = slot.querySelector("small"), then = made.querySelector("small");
  if (count && then) count.textContent = then.textContent;
  const bar = slot.querySelector("progress"), full = made.querySelector("progress");
  if (bar && full) bar.replaceWith(full);
  return slot;
}

for (const slot of document.querySelectorAll(".slot[data-job]")) follow(slot);

for (const box of document.querySelectorAll("textarea[data-send]")) {
  box.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    box.form.requestSubmit();
  });
}
