// Keeps an open page live: values, ages, alerts, and the red bar when nothing comes any more.
"use strict";

const MISSED_BEATS_MS = 10_000;
const IDLE_MS = 4_000;
const FRAGMENT = document.querySelector("h1.visually-hidden")
  ? `/fragments/patients/${document.querySelector("[data-patient]").dataset.patient}`
  : "/fragments/worklist";

const worklist = document.getElementById("worklist");
const live = document.getElementById("live");
const liveText = document.getElementById("live-text");
const bar = document.getElementById("not-live");
const orderBar = document.getElementById("order-changed");
let lastHeard = Date.now();
let lastTouched = 0;
let clockOffset = 0;
let source = null;
let refreshing = null;
let again = false;
let announced = new Map();

// Times on the page are the server's: a browser with a wrong clock must not show a wrong age.
const now = () => Date.now() + clockOffset;

function age(milliseconds) {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  for (const [size, name, smaller, smallerName] of [[86400, "d", 3600, "h"], [3600, "h", 60, "min"], [60, "min", 1, "s"]]) {
    if (seconds >= size) {
      const rest = Math.floor((seconds % size) / smaller);
      return `${Math.floor(seconds / size)} ${name}` + (rest ? ` ${rest} ${smallerName}` : "");
    }
  }
  return `${seconds} s`;
}

function heard(event) {
  lastHeard = Date.now();
  const data = event && event.data ? JSON.parse(event.data) : {};
  if (data.now_ms) clockOffset = data.now_ms - Date.now();
  showLive();
  return data;
}

function showLive() {
  const quiet = Date.now() - lastHeard;
  const dead = quiet > MISSED_BEATS_MS;
  bar.hidden = !dead;
  live.classList.toggle("on", !dead);
  liveText.textContent = dead ? "Not live" : "Live";
  if (dead) {
    document.getElementById("not-live-since").textContent = `Nothing has come for ${age(quiet)}.`;
  }
}

function showAges() {
  for (const cell of document.querySelectorAll(".value[data-taken-at]")) {
    const old = now() - Number(cell.dataset.takenAt);
    cell.querySelector(".age-text").textContent = age(old);
    if (["spo2", "pulse_rate", "heart_rate"].includes(cell.dataset.metric)) cell.classList.toggle("stale", old > 60_000);
  }
}

function onReading(event) {
  const data = heard(event);
  const card = document.getElementById(`patient-${data.patient_id}`);
  const cell = card && card.querySelector(`.value[data-metric="${data.metric}"]`);
  if (!cell) return card ? refresh() : undefined;
  if (Number(cell.dataset.takenAt) > data.taken_at_ms) return undefined;
  cell.dataset.takenAt = data.taken_at_ms;
  cell.querySelector(".number").textContent = data.text;
  cell.classList.remove("stale");
  cell.querySelector(".age-text").textContent = age(now() - data.taken_at_ms);
  return undefined;
}

function onAlert(event) {
  const data = heard(event);
  if ((announced.get(data.alert_id) || 0) >= data.version) return;
  announced.set(data.alert_id, data.version);
  if (data.active && !data.acknowledged_by) {
    const say = `${data.test ? "Test. " : ""}${data.priority} alert: ${data.sentence}`;
    document.getElementById("announcer").textContent = say;
  }
  refresh();
}

async function refresh() {
  if (refreshing) {
    again = true;
    return;
  }
  refreshing = load();
  try {
    await refreshing;
  } catch {
    setTimeout(refresh, 1000);
  } finally {
    refreshing = null;
  }
  if (again) {
    again = false;
    refresh();
  }
}

async function load() {
  const response = await fetch(FRAGMENT, { headers: { accept: "text/html" } });
  if (response.redirected && response.url.endsWith("/login")) {
    location.assign("/login");
    return;
  }
  if (!response.ok) throw new Error(String(response.status));
  const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
  const cards = [...fresh.querySelectorAll(".card")];
  const focused = focusKey(document.activeElement);
  const known = new Set([...document.querySelectorAll("[data-alert]")].map((one) => one.dataset.alert));
  for (const card of cards) {
    const old = document.getElementById(card.id);
    if (old) old.replaceWith(card);
    else worklist.append(card);
    for (const alert of card.querySelectorAll("[data-alert]")) {
      if (!known.has(alert.dataset.alert)) alert.classList.add("just-came");
    }
  }
  const wanted = cards.map((card) => card.id);
  for (const old of worklist.querySelectorAll(".card")) if (!wanted.includes(old.id)) old.remove();
  if (cards.length) worklist.querySelector(":scope > .nothing")?.remove();
  restoreFocus(focused);
  arrange(wanted);
  showAges();
}

// Nothing jumps under the pointer: the order changes by itself only while nobody is at work on the page.
function arrange(wanted) {
  const present = [...worklist.querySelectorAll(".card")].map((card) => card.id);
  const changed = present.join() !== wanted.join();
  const idle = Date.now() - lastTouched > IDLE_MS;
  if (changed && idle) sort(wanted);
  if (orderBar) orderBar.hidden = !(changed && !idle);
  document.getElementById("sort")?.addEventListener("click", () => sort(wanted), { once: true });
}

function sort(wanted) {
  for (const id of wanted) worklist.append(document.getElementById(id));
  if (orderBar) orderBar.hidden = true;
}

function focusKey(element) {
  const card = element && element.closest ? element.closest(".card") : null;
  if (!card) return null;
  const alert = element.closest("[data-alert]");
  return { card: card.id, alert: alert && alert.dataset.alert, button: element.tagName === "BUTTON", link: element.tagName === "A" };
}

function restoreFocus(key) {
  if (!key) return;
  const card = document.getElementById(key.card);
  if (!card) return;
  const button = key.button && key.alert && card.querySelector(`[data-alert="${key.alert}"] button`);
  (button || (key.link && card.querySelector("h2 a")) || card).focus({ preventScroll: true });
}

async function acknowledge(form) {
  const button = form.querySelector("button");
  button.disabled = true;
  button.textContent = "Acknowledging …";
  try {
    const response = await fetch(form.action, { method: "POST", headers: { "x-requested-with": "bedside" } });
    if (!response.ok) throw new Error(String(response.status));
    await refresh();
  } catch {
    button.disabled = false;
    button.textContent = "Not acknowledged. Try again";
  }
}

function connect() {
  source = new EventSource("/events");
  source.addEventListener("hello", (event) => { heard(event); refresh(); });
  source.addEventListener("beat", heard);
  source.addEventListener("reading", onReading);
  source.addEventListener("alert", onAlert);
  source.addEventListener("resync", (event) => { heard(event); refresh(); });
  source.addEventListener("expired", () => location.assign("/login"));
  // The browser gives up for good when the answer is an error page; the console never does.
  source.addEventListener("error", () => {
    if (source.readyState === EventSource.CLOSED) setTimeout(connect, 1000);
  });
}

function move(step) {
  const cards = [...worklist.querySelectorAll(".card")];
  const at = cards.indexOf(document.activeElement ? document.activeElement.closest(".card") : null);
  const next = cards[Math.min(Math.max(at + step, 0), cards.length - 1)];
  if (next) next.focus();
}

document.addEventListener("submit", (event) => {
  if (!event.target.matches(".acknowledge")) return;
  event.preventDefault();
  acknowledge(event.target);
});

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || event.target.matches("input, textarea")) return;
  const card = event.target.closest ? event.target.closest(".card") : null;
  if (event.key === "j") move(1);
  else if (event.key === "k") move(-1);
  else if (event.key === "a") (card || worklist).querySelector(".acknowledge")?.requestSubmit();
  else if (event.key === "Enter" && event.target === card) card.querySelector("h2 a").click();
  else if (event.key === "?") document.getElementById("help")?.showModal();
});

for (const kind of ["pointermove", "pointerdown", "keydown", "wheel"]) {
  addEventListener(kind, () => { lastTouched = Date.now(); }, { passive: true });
}
document.getElementById("reload").addEventListener("click", () => location.reload());
setInterval(() => { showLive(); showAges(); }, 1000);
connect();
