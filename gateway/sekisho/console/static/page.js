// Keys, and the time that is left. Pages work without it: it presses nothing by itself, and writes
// only numbers and times into the page.
"use strict";
(() => {
  const root = document.documentElement;
  const clock = document.getElementById("now");
  root.classList.add("scripted");

  // -- keys: a letter goes to a button or field, Enter presses it as everywhere else

  const typing = (place) => /^(INPUT|TEXTAREA|SELECT)$/.test(place.tagName);
  const links = () => [...document.querySelectorAll(".queue a")];

  function step(by) {
    const all = links();
    if (!all.length) return;
    const at = all.indexOf(document.activeElement);
    all[at < 0 ? (by > 0 ? 0 : all.length - 1) : (at + by + all.length) % all.length].focus();
  }

  function go(letter) {
    const place = document.querySelector(`[data-key="${letter}"]`);
    if (!place) return;
    const reason = document.querySelector(".deck textarea");
    if ("reason" in place.dataset && reason && !reason.value.trim()) {
      reason.dataset.then = place.value;
      reason.focus();
      return;
    }
    if (place.tagName === "SUMMARY") place.parentElement.open = true;
    place.scrollIntoView({ block: "nearest" });
    place.focus();
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    const place = event.target;
    if (event.key === "Escape" && typing(place)) {
      place.blur();
    } else if (event.key === "Enter" && !event.shiftKey && place.dataset.then) {
      event.preventDefault();
      const button = document.querySelector(`.deck [value="${place.dataset.then}"]`);
      if (button && place.value.trim()) button.form.requestSubmit(button);
    } else if (!typing(place)) {
      if (event.key === "j") step(1);
      else if (event.key === "k") step(-1);
      else if (event.key === "q") location.assign(document.querySelector("nav a").href);
      else if (/^[ader]$/.test(event.key)) go(event.key);
      else return;
      event.preventDefault();
    }
  });

  const reason = document.querySelector(".deck textarea");
  if (reason) reason.addEventListener("blur", () => delete reason.dataset.then);

  // One press is enough: what was sent twice would be answered alike, but a person need not see it.
  document.addEventListener("submit", (event) => {
    if (event.target.dataset.sent) event.preventDefault();
    event.target.dataset.sent = "yes";
  });
  window.addEventListener("pageshow", () => {
    for (const form of document.forms) delete form.dataset.sent;
  });

  // -- times, in the reader's own zone

  const local = new Intl.DateTimeFormat(root.lang, { dateStyle: "medium", timeStyle: "short" });
  for (const time of document.querySelectorAll("time[datetime]")) {
    time.title = time.textContent;
    time.textContent = local.format(new Date(time.dateTime));
  }

  if (!clock) return;
  const began = Date.now();
  const now = () => Number(clock.dataset.now) + Math.floor((Date.now() - began) / 1000);

  function span(seconds) {
    const figures = {
      days: Math.floor(seconds / 86400), hours: Math.floor(seconds / 3600),
      minutes: Math.floor(seconds / 60), seconds,
    };
    let kind = "seconds";
    if (figures.days) {
      kind = "days";
      figures.hours %= 24;
    } else if (figures.hours) {
      kind = "hours";
      figures.minutes %= 60;
    } else if (figures.minutes) {
      kind = "minutes";
    }
    return clock.dataset[kind].replace(/\{(\w+)\}/g, (_, name) => figures[name]);
  }

  function tick() {
    for (const place of document.querySelectorAll("[data-until]")) {
      const left = Math.max(0, Number(place.dataset.until) - now());
      const text = span(left);
      const inQueue = place.classList.contains("left");
      place.textContent = inQueue ? clock.dataset.left.replace("{span}", text) : text;
      (inQueue ? place : place.parentElement).classList.toggle("soon", left < 300);
    }
  }
  tick();
  setInterval(tick, 1000);

  // Whoever waits sees the page anew, unless they are reading it with the keyboard or writing.
  const again = Number(clock.dataset.again || 0);
  if (again) {
    setInterval(() => {
      const place = document.activeElement;
      const busy = place !== null && place !== document.body;
      if (document.visibilityState === "visible" && !busy) location.reload();
    }, again * 1000);
  }
})();
