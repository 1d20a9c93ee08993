// Keeps an open page live: values, ages, alerts, trends, and the red bar when nothing comes any more.
"use strict";

const MISSED_BEATS_MS = 10_000;
const IDLE_MS = 4_000;
const STALE_MS = 60_000;
const RENEW_MS = 15_000;
const NEAR = 0.015;
const READ_STEP = 0.01;

const byId = (id) => document.getElementById(id);
const worklist = byId("worklist");
const announced = new Map();
const TITLE = document.title.replace(/^\(\d+\) /, "");
let lastHeard = Date.now();
let broken = false;
let lastTouched = 0;
let pressed = false;
let clockOffset = 0;
let source = null;
let refreshing = false;
let again = false;
let readAt = 1;

// Times on the page are the server's: a browser with a wrong clock must not show a wrong age.
const now = () => Date.now() + clockOffset;

function duration(milliseconds) {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  for (const [size, name, smaller, smallerName] of [[86400, "d", 3600, "h"], [3600, "h", 60, "min"], [60, "min", 1, "s"]]) {
    if (seconds >= size) {
      const rest = Math.floor((seconds % size) / smaller);
      return `${Math.floor(seconds / size)} ${name}` + (rest ? ` ${rest} ${smallerName}` : "");
    }
  }
  return `${seconds} s`;
}

function ago(milliseconds) {
  if (milliseconds < 5_000) return "now";
  const coarse = milliseconds >= 60_000 && milliseconds < 3_600_000;
  return `${duration(coarse ? milliseconds - (milliseconds % 60_000) : milliseconds)} ago`;
}

const clock = (milliseconds) => `${new Date(milliseconds).toISOString().slice(11, 19)} UTC`;

function heard(event) {
  lastHeard = Date.now();
  broken = false;
  const data = event.data ? JSON.parse(event.data) : {};
  if (data.now_ms) clockOffset = data.now_ms - Date.now();
  showLive();
  return data;
}

function showLive() {
  const quiet = Date.now() - lastHeard;
  const dead = broken || quiet > MISSED_BEATS_MS;
  byId("not-live").hidden = !dead;
  byId("live").classList.toggle("on", !dead);
  byId("live-text").textContent = dead ? "Not live" : "Live";
  document.body.classList.toggle("dead", dead);
  if (dead) byId("not-live-since").textContent = `Nothing has come since ${clock(lastHeard + clockOffset)}, for ${duration(quiet)}.`;
}

function showAges() {
  for (const cell of document.querySelectorAll(".value[data-taken-at]")) {
    const old = now() - Number(cell.dataset.takenAt);
    write(cell.querySelector(".age"), ago(old));
    cell.classList.toggle("stale", "continuous" in cell.dataset && old > STALE_MS);
  }
  for (const since of document.querySelectorAll(".lasting")) write(since, duration(now() - Number(since.dataset.since)));
}

function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function onReading(event) {
  const data = heard(event);
  const card = byId(`patient-${data.patient_id}`);
  if (!card) return;
  const figure = card.querySelector(`[data-metric="${data.metric}"]`);
  if (!figure) {
    refresh();
    return;
  }
  const cell = figure.closest(".value");
  const shown = Number(cell.dataset.takenAt);
  if (shown > data.taken_at_ms) return;
  // Figures that were not measured together are not shown together.
  if (shown < data.taken_at_ms) for (const other of cell.querySelectorAll("[data-metric]")) if (other !== figure) write(other, "—");
  cell.dataset.takenAt = data.taken_at_ms;
  write(figure, data.text);
  cell.classList.remove("stale");
  write(cell.querySelector(".age"), ago(now() - data.taken_at_ms));
}

function onAlert(event) {
  const data = heard(event);
  if ((announced.get(data.alert_id) || 0) >= data.version) return;
  announced.set(data.alert_id, data.version);
  if (data.active && !data.acknowledged_by) byId("announcer").textContent = `${data.test ? "Test, no alarm" : `${data.priority} alert`}: ${data.sentence}`;
  refresh();
}

async function refresh() {
  // Not while a button is held down: it would be gone before it is let go.
  if (refreshing || pressed) {
    again = true;
    return;
  }
  refreshing = true;
  try {
    await load();
  } catch {
    setTimeout(refresh, 1000);
  } finally {
    refreshing = false;
  }
  if (again) {
    again = false;
    refresh();
  }
}

async function load() {
  const response = await fetch(worklist.dataset.fragment, { headers: { accept: "text/html" } });
  if (response.redirected && new URL(response.url).pathname === "/login") {
    location.assign("/login");
    return;
  }
  if (!response.ok) throw new Error(String(response.status));
  const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
  if (pressed) {
    again = true;
    return;
  }
  const cards = [...fresh.querySelectorAll(".card")];
  const focused = focusKey(document.activeElement);
  const known = new Set([...document.querySelectorAll("[data-alert]")].map((one) => one.dataset.alert));
  for (const card of cards) {
    const old = byId(card.id);
    if (old) old.replaceWith(card);
    else worklist.append(card);
    for (const alert of card.querySelectorAll("[data-alert]")) if (!known.has(alert.dataset.alert)) alert.classList.add("just-came");
  }
  const wanted = cards.map((card) => card.id);
  for (const old of worklist.querySelectorAll(".card")) if (!wanted.includes(old.id)) old.remove();
  if (cards.length) worklist.querySelector(":scope > .nothing")?.remove();
  replace("summary", fresh);
  const details = byId("details");
  if (details && !details.contains(document.activeElement) && !details.matches(":hover")) replace("details", fresh);
  const waiting = Number(byId("summary").dataset.waiting);
  document.title = (waiting ? `(${waiting}) ` : "") + TITLE;
  restoreFocus(focused);
  arrange(wanted);
  showAges();
}

function replace(id, fresh) {
  const renewed = fresh.getElementById(id);
  if (renewed) byId(id).replaceWith(renewed);
}

// Nothing jumps under the pointer: the order changes by itself only while nobody is at work on the page.
function arrange(wanted) {
  const present = [...worklist.querySelectorAll(".card")].map((card) => card.id);
  const changed = present.join() !== wanted.join();
  const idle = Date.now() - lastTouched > IDLE_MS;
  if (changed && idle) sort(wanted);
  const bar = byId("order-changed");
  if (!bar) return;
  bar.hidden = !(changed && !idle);
  byId("sort").onclick = () => sort(wanted);
}

function sort(wanted) {
  const focused = focusKey(document.activeElement);
  for (const id of wanted) if (byId(id)) worklist.append(byId(id));
  const bar = byId("order-changed");
  if (bar) bar.hidden = true;
  restoreFocus(focused);
}

function focusKey(element) {
  const card = element?.closest?.(".card");
  if (!card) return null;
  const alert = element.closest("[data-alert]");
  return { card: card.id, alert: alert && alert.dataset.alert, button: element.tagName === "BUTTON", link: element.tagName === "A" };
}

function restoreFocus(key) {
  const card = key && byId(key.card);
  if (!card || card.contains(document.activeElement)) return;
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
  source.addEventListener("error", () => {
    broken = true;
    showLive();
    // The browser gives up for good when the answer is an error page; the console never does.
    if (source.readyState === EventSource.CLOSED) setTimeout(connect, 1000);
  });
}

function move(step) {
  const cards = [...worklist.querySelectorAll(".card")];
  const at = cards.indexOf(document.activeElement?.closest(".card"));
  cards[Math.min(Math.max(at + step, 0), cards.length - 1)]?.focus();
}

// Without a focus the key only leads to the worst alert: nobody acknowledges what they have not looked at.
function acknowledgeByKey(target) {
  const place = target.closest?.("[data-alert]") || target.closest?.(".card");
  if (place) place.querySelector(".acknowledge")?.requestSubmit();
  else worklist.querySelector(".acknowledge")?.closest(".card").focus();
}

// Reads values out of trends at one time; `share` is the place between their left and right edges.
function readOut(group, share) {
  readAt = Math.min(Math.max(share, 0), 1);
  const said = [];
  for (const figure of group.querySelectorAll(".plot")) {
    const read = nearest(figure.querySelector(".trend"), readAt);
    const out = figure.querySelector(".readout");
    write(out, read ? `${read.text} ${out.dataset.unit} at ${clock(read.at)}` : "— no reading");
    if (read) said.push(`${figure.querySelector("figcaption").firstChild.textContent} ${out.textContent}`);
    const trend = figure.querySelector(".trend");
    let cursor = trend.querySelector(".cursor");
    if (!cursor) {
      cursor = document.createElementNS("http://www.w3.org/2000/svg", "line");
      cursor.setAttribute("class", "cursor");
      cursor.setAttribute("y2", "100%");
      trend.append(cursor);
    }
    for (const end of ["x1", "x2"]) cursor.setAttribute(end, `${readAt * 100}%`);
  }
  return said.join(". ");
}

// The reading that is drawn next to a place, as text and time; null where there is none near it.
function nearest(trend, share) {
  const { from, until, lowest, highest, decimals } = trend.dataset;
  const places = [...trend.querySelectorAll("polyline.value")].flatMap((line) => line.getAttribute("points").split(" ")
    .map((pair) => pair.split(",").map((one) => Number(one) / 1000)));
  for (const dot of trend.querySelectorAll("circle.value")) places.push([dot.getAttribute("cx"), dot.getAttribute("cy")].map((one) => parseFloat(one) / 100));
  const distance = Math.min(...places.map(([x]) => Math.abs(x - share)));
  if (!(distance <= NEAR)) return null;
  const x = places.find(([one]) => Math.abs(one - share) === distance)[0];
  const values = places.filter(([one]) => one === x).map(([, y]) => Number(highest) - y * (highest - lowest));
  const ends = [...new Set([Math.max(...values), Math.min(...values)].map((value) => value.toFixed(decimals)))];
  return { text: ends.join(trend.querySelector("circle.value") ? "/" : " to "), at: Number(from) + x * (until - from) };
}

document.addEventListener("submit", (event) => {
  if (!event.target.matches(".acknowledge")) return;
  event.preventDefault();
  acknowledge(event.target);
});

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || event.target.matches("input, textarea")) return;
  const trends = event.target.closest?.(".trends");
  const step = { ArrowLeft: -READ_STEP, ArrowRight: READ_STEP }[event.key];
  if (trends && step) {
    event.preventDefault();
    write(byId("announcer"), readOut(trends, readAt + step));
  } else if (event.key === "j") move(1);
  else if (event.key === "k") move(-1);
  else if (event.key === "a") acknowledgeByKey(event.target);
  else if (event.key === "Enter" && event.target.matches(".card")) event.target.querySelector("h2 a")?.click();
  else if (event.key === "?") byId("help").showModal();
});

document.addEventListener("pointermove", (event) => {
  const plot = event.target.closest?.(".plot");
  const edge = plot?.querySelector(".trend .grid")?.getBoundingClientRect();
  if (edge) readOut(plot.closest(".trends") || plot.parentElement, (event.clientX - edge.left) / edge.width);
});

for (const kind of ["pointermove", "pointerdown", "keydown", "wheel"]) {
  addEventListener(kind, () => { lastTouched = Date.now(); }, { passive: true });
}
addEventListener("pointerdown", () => { pressed = true; });
for (const kind of ["pointerup", "pointercancel", "blur"]) {
  addEventListener(kind, () => {
    pressed = false;
    // After the click that this ends.
    if (again) setTimeout(() => { again = false; refresh(); });
  });
}
write(byId("live-text"), "Connecting");
byId("reload").addEventListener("click", () => location.reload());
setInterval(() => { showLive(); showAges(); }, 1000);
setInterval(() => { if (!document.hidden && !broken) refresh(); }, RENEW_MS);
document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
connect();
