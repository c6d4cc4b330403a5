// live.js: the socket of this page. The server tells, the page shows; everything the person does goes by POST.
// The messages are explained in chat/live.py.

import { $, $$, announce } from "./page.js";

const ACK_EVERY = 32 * 1024;
const SIGNED_OUT = 4401,
  FINAL = [4403, 4404];
const FIRST_WAIT = 500,
  LONGEST_WAIT = 15_000;
const ANSWERED_WITHIN = 1500,
  LOOK_EVERY = 5000,
  SLEPT = 15_000;

const { socket: path, signIn, conversation } = document.body.dataset;
let socket,
  wait = FIRST_WAIT,
  retryAt = 0,
  timer,
  doubt,
  heard = 0;

function connect() {
  clearTimeout(timer);
  forget();
  socket = new WebSocket(location.origin.replace(/^http/, "ws") + path);
  socket.onopen = () => {
    wait = FIRST_WAIT;
    heard = 0;
    $("#banner").hidden = true;
    const lang = document.documentElement.lang.startsWith("zh") ? "zh-hans" : "en";
    tell({ watch: conversation ?? null, lang, seen: $("#thread")?.dataset.stamp, list: $("#side-list")?.dataset.stamp, saving: !!$("#saving")?.textContent });
  };
  socket.onmessage = ({ data }) => {
    clearTimeout(doubt);
    hear(JSON.parse(data));
    heard += data.length;
    if (heard >= ACK_EVERY) {
      tell({ ack: heard });
      heard = 0;
    }
  };
  socket.onclose = ({ code }) => {
    if (code === SIGNED_OUT) leave();
    else if (!FINAL.includes(code)) later();
  };
}

function forget() {
  clearTimeout(doubt);
  if (!socket) return;
  socket.onopen = socket.onmessage = socket.onclose = null;
  socket.close();
}

/** To the door, and from there back to this page. */
function leave() {
  document.dispatchEvent(new Event("portal:signed-out"));
  location.assign(`${signIn}?${new URLSearchParams({ next: location.pathname + location.search })}`);
}

const tell = (message) => socket.readyState === WebSocket.OPEN && socket.send(JSON.stringify(message));

function later() {
  const pause = wait * (0.75 + Math.random() / 2);
  wait = Math.min(LONGEST_WAIT, wait * 2);
  retryAt = Date.now() + pause;
  timer = setTimeout(connect, pause);
  // A short break is not worth a word.
  if (wait > 2 * FIRST_WAIT) $("#banner").hidden = false;
  countDown();
}

function countDown() {
  const box = $("[data-countdown]");
  if ($("#banner").hidden || !box) return;
  box.textContent = Math.max(0, Math.ceil((retryAt - Date.now()) / 1000));
  setTimeout(countDown, 500);
}

function hear(told) {
  if (told.r) return grow(told);
  if (told.added && $(`#m-${told.added}`)) return; // it came with the thread
  if (told.m) enter(told);
  if (told.part) swap(told.part);
  if (told.jobs && $("#jobs")) swap(told.jobs);
  if (told.m) settle(told);
  if (told.say) announce(told.say);
  if ("running" in told) count(told.running);
  if (told.event) document.body.dispatchEvent(new Event(told.event));
  if (told.go) location.assign(told.go);
}

/** How many jobs run, for somebody who looks at another tab. */
function count(running) {
  document.title = (running ? `(${running}↓) ` : "") + document.title.replace(/^\(\d+↓\) /, "");
}

function grow(told) {
  const track = told.t ? "thinking" : undefined;
  const stream = $$(`answer-stream[data-run="${told.r}"]`).find((e) => e.dataset.track === track);
  if (!stream) return;
  if (told.snap) stream.snap(told.snap, told.n);
  else if (!stream.grow(told)) resync(told.r);
}

// One question is enough, however many frames come before the answer.
const asked = new Map();
function resync(run) {
  if (Date.now() - (asked.get(run) ?? 0) < 1000) return;
  asked.set(run, Date.now());
  tell({ resync: run });
}

const LIVE = ["queued", "loading", "reading", "thinking", "writing"];

function enter({ m, state, lang, v }) {
  const article = $(`#m-${m}`);
  if (!article) return;
  article.dataset.state = state;
  if (LIVE.includes(state)) article.setAttribute("aria-busy", "true");
  else article.removeAttribute("aria-busy");
  if (lang) $(`#answer-${m}`)?.setAttribute("lang", lang);
  if (v) $("#thread").dataset.stamp = v;
}

/** After the parts are in place: streams that are new ask for their text, ended ones end. */
function settle({ m, state, run }) {
  const answer = $(`#answer-${m}`);
  if (!answer) return;
  if (!LIVE.includes(state)) answer.end();
  else if (run) {
    answer.dataset.run = run;
    if ($(`#thinking-${m}`)) resync(run);
  }
}

function swap(html) {
  htmx.swap(document.body, html, { swapStyle: "none" });
  document.dispatchEvent(new Event("portal:told"));
}

// A machine that slept, or came to another network, is told of no end: ask, and where nobody answers connect anew.
const hurry = () => {
  if (document.hidden) return;
  if (socket.readyState === WebSocket.CLOSED) return connect();
  tell({ there: true });
  clearTimeout(doubt);
  doubt = setTimeout(connect, ANSWERED_WITHIN);
};
let lookedAt = Date.now();
const look = () => {
  if (Date.now() - lookedAt > SLEPT) hurry();
  lookedAt = Date.now();
};

if (path) {
  // htmx is deferred and runs before modules do; the socket may start at once.
  connect();
  setInterval(look, LOOK_EVERY);
  addEventListener("online", hurry);
  document.addEventListener("visibilitychange", hurry);
  document.addEventListener("click", (e) => e.target.closest("[data-reconnect]") && hurry());
}
