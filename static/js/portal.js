// portal.js: the few things HTML and CSS cannot do yet. No inline handlers, CSP-safe.
// Every behaviour is attached by a data attribute or a role, through one listener on the document,
// so fragments swapped in by htmx need no set-up of their own.

import "./answer-stream.js";
import { announce, $, $$ } from "./page.js";
import "./live.js";
import "./playground.js";
import "./upload.js";

/* ---- Composer: Enter sends, except while an input method is at work ------------------------------- */
// Chrome and Firefox: the Enter that accepts a candidate has isComposing = true.
// Safari: compositionend comes first, then a keydown with isComposing = false and keyCode 229.
// Chrome on macOS may leave keyCode 229 on the next, intended Enter, so 229 alone only counts
// shortly after compositionend.
let composedAt = -Infinity;
document.addEventListener(
  "compositionend",
  (e) => {
    composedAt = e.timeStamp;
  },
  true,
);
export const byInputMethod = (e) => e.isComposing || (e.keyCode === 229 && e.timeStamp - composedAt < 200);

document.addEventListener("keydown", (e) => {
  const box = e.target.closest?.("[data-composer] textarea");
  if (!box || e.key !== "Enter" || byInputMethod(e)) return;
  const withCtrl = e.ctrlKey || e.metaKey;
  const sendKey = document.documentElement.dataset.sendWith === "ctrl" ? withCtrl : !e.shiftKey && !e.altKey;
  const touch = matchMedia("(pointer: coarse)").matches && !withCtrl; // on phones Enter is a new line
  if (!sendKey || touch) return;
  e.preventDefault();
  const send = $("[type=submit]", box.form);
  if (box.value.trim() && send) box.form.requestSubmit(send);
});
// In every other field too, the Enter that ends a composition must not send the form.
document.addEventListener(
  "keydown",
  (e) => {
    if (e.key === "Enter" && e.target.matches?.("input") && byInputMethod(e)) e.preventDefault();
  },
  true,
);
const mind = (form) => {
  const send = $(".send[type=submit]", form);
  if (send) send.disabled = !$("textarea", form).value.trim();
};
const mindAll = () => $$("[data-composer]").forEach(mind);
document.addEventListener("input", (e) => {
  const form = e.target.closest?.("[data-composer]");
  if (form) mind(form);
});
document.addEventListener("submit", (e) => {
  const box = $("textarea", e.target);
  if (e.target.matches("[data-composer]") && !box.value.trim()) e.preventDefault();
});

/* ---- Sending: what cannot be sent stays in the field ------------------------------------------------- */
const BUSY = 409,
  TOO_LONG = 413;
let sent = "";
document.addEventListener("htmx:beforeRequest", (e) => {
  if (e.target.id !== "composer") return;
  for (const why of $$("[data-send-failed], [data-too-long]", e.target)) why.hidden = true;
  // A second Enter before the answer would be the same question again.
  if (e.target.dataset.sending) e.preventDefault();
  e.target.dataset.sending = "yes";
  sent = $("#prompt").value;
});
// The portal has the question. What was typed since stays.
document.addEventListener("asked", () => {
  const box = $("#prompt");
  box.value = box.value.startsWith(sent) ? box.value.slice(sent.length) : box.value;
  if (box.value) box.dispatchEvent(new Event("input", { bubbles: true }));
  box.focus();
});
document.addEventListener("htmx:afterRequest", (e) => {
  if (e.target.id !== "composer") return;
  delete e.target.dataset.sending;
  const why = $(e.detail.xhr.status === TOO_LONG ? "[data-too-long]" : "[data-send-failed]", e.target);
  if (why) why.hidden = e.detail.successful;
  if (e.detail.successful) $("[data-follow]")?.dispatchEvent(new Event("follow"));
});
document.addEventListener("htmx:afterSettle", (e) => {
  mindAll();
  tick();
  if (e.target.id === "dock") $("#prompt").focus();
  else $("[autofocus]", e.target)?.focus();
});
// What has to wait says so where one writes.
document.addEventListener("htmx:beforeRequest", () => $("#refused")?.replaceChildren());
document.addEventListener("htmx:responseError", ({ detail: { xhr } }) => {
  if (xhr.status !== BUSY) return;
  const why = Object.assign(document.createElement("p"), { className: "error small", role: "alert" });
  why.textContent = xhr.responseText;
  $("#refused")?.replaceChildren(why);
});
mindAll();

/* ---- Drafts: what is typed and not sent is kept on the server ------------------------------------------ */
let draftTimer;
const saveDraft = (form, last) => {
  clearTimeout(draftTimer);
  const body = new FormData();
  body.set("text", $("#prompt", form).value);
  body.set("csrfmiddlewaretoken", $("[name=csrfmiddlewaretoken]", form).value);
  delete form.dataset.unsaved;
  if (last) return navigator.sendBeacon(form.dataset.draft, body);
  const keep = () => (form.dataset.unsaved = "yes");
  return fetch(form.dataset.draft, { method: "POST", body, redirect: "manual" }).then((a) => a.ok || keep(), keep);
};
document.addEventListener("input", (e) => {
  if (e.target.id !== "prompt") return;
  const form = e.target.form;
  form.dataset.unsaved = "yes";
  clearTimeout(draftTimer);
  draftTimer = setTimeout(() => saveDraft(form), 600);
});
addEventListener("pagehide", () => {
  const form = $("#composer[data-unsaved]:not([data-sending])");
  if (form && !saveDraft(form, true)) leaveHere(form); // a browser that leaves sends no more than 64 KB
});
document.addEventListener("submit", (e) => {
  if (e.target.id !== "composer") return;
  clearTimeout(draftTimer);
  delete e.target.dataset.unsaved;
});

// What can be saved no more, as where the session has ended, waits in this tab for the same person on the same page.
const left = `left ${document.body.dataset.person} ${location.pathname}`;
const leaveHere = (form) => sessionStorage.setItem(left, $("#prompt", form).value);
const leave = () => {
  const form = $("#composer[data-unsaved], #composer[data-sending]");
  if (form) leaveHere(form);
};
document.addEventListener("portal:signed-out", leave);
document.addEventListener("htmx:beforeOnLoad", (e) => {
  if (e.detail.xhr.status === 401) leave();
});
if (sessionStorage.getItem(left)) {
  const box = $("#prompt");
  box.value = sessionStorage.getItem(left);
  sessionStorage.removeItem(left);
  box.dispatchEvent(new Event("input", { bubbles: true }));
}

/* ---- Follow the stream only while the reader is at the end ------------------------------------------ */
// Stop following on any sign that the reader wants to go up: wheel, touch, keys, or the position moving up while
// the height stayed the same (scrollbar drag, find in page). A smaller position together with a new height is only
// the browser correcting itself after off-screen turns were measured (content-visibility) and means nothing.
for (const pane of document.querySelectorAll("[data-follow]")) {
  let follow = !location.hash,
    top = 0,
    height = 0;
  const toEnd = () => {
    pane.scrollTop = pane.scrollHeight;
  };
  pane.addEventListener("follow", () => {
    follow = true;
    toEnd();
  });
  const leave = () => {
    if (pane.scrollTop > 0) follow = false;
  };
  pane.addEventListener(
    "wheel",
    (e) => {
      if (e.deltaY < 0) leave();
    },
    { passive: true },
  );
  pane.addEventListener("touchmove", leave, { passive: true });
  pane.addEventListener("keydown", (e) => {
    if (["PageUp", "Home", "ArrowUp"].includes(e.key) && !e.target.matches("textarea, input")) leave();
  });
  pane.addEventListener(
    "scroll",
    () => {
      const rest = pane.scrollHeight - pane.scrollTop - pane.clientHeight;
      if (pane.scrollTop < top - 1 && pane.scrollHeight === height) follow = false;
      if (rest < 24) follow = true;
      ({ scrollTop: top, scrollHeight: height } = pane);
      pane.toggleAttribute("data-away", rest > 200);
    },
    { passive: true },
  );
  const grown = new ResizeObserver(() => {
    if (follow) toEnd();
    height = pane.scrollHeight;
  });
  for (const part of pane.children) grown.observe(part);
  // The composer is replaced after each question.
  new MutationObserver((all) => {
    for (const { addedNodes } of all) for (const node of addedNodes) if (node.nodeType === 1) grown.observe(node);
  }).observe(pane, { childList: true });
  if (follow) toEnd();
}
document.addEventListener("click", (e) => {
  if (e.target.closest(".dock__jump .btn")) e.target.closest("[data-follow]").dispatchEvent(new Event("follow"));
});

/* ---- Copy: a message as Markdown and as rich text, code and fields as text ------------------------------------------ */
const copied = async (btn) => {
  const code = btn.closest(".code")?.querySelector("pre");
  if (code) return navigator.clipboard.writeText(code.textContent);
  const field = btn.parentElement.querySelector("input");
  field?.select(); // on plain http there is no clipboard
  if (field) return navigator.clipboard.writeText(field.value);
  const source = fetch(btn.dataset.copy).then((answer) => answer.text());
  const rich = btn.closest(".turn").querySelector(".prose").innerHTML;
  if (!window.ClipboardItem) return navigator.clipboard.writeText(await source);
  return navigator.clipboard.write([
    new ClipboardItem({
      "text/plain": source.then((text) => new Blob([text], { type: "text/plain" })),
      "text/html": new Blob([rich], { type: "text/html" }),
    }),
  ]);
};
document.addEventListener("click", async (e) => {
  const btn = e.target.closest("[data-copy]");
  if (!btn) return;
  await copied(btn);
  const use = $("use", btn),
    old = use.getAttribute("href");
  use.setAttribute("href", old.replace(/#.*/, "#check"));
  setTimeout(() => use.setAttribute("href", old), 1500);
  announce(document.documentElement.lang.startsWith("zh") ? "已复制" : "Copied");
});

/* ---- Show password, theme ------------------------------------------------------------------------------ */
document.addEventListener("click", (e) => {
  const btn = e.target.closest("[data-reveal]");
  if (!btn) return;
  const field = document.getElementById(btn.dataset.reveal),
    show = field.type === "password";
  field.type = show ? "text" : "password";
  btn.setAttribute("aria-pressed", show);
});
document.addEventListener("change", (e) => {
  if (!e.target.matches("[data-theme-choice]")) return;
  const root = document.documentElement;
  if (e.target.value) root.dataset.theme = e.target.value;
  else delete root.dataset.theme;
});

/* ---- Menus: arrow keys, Home, End, first letter (APG menu button) ---------------------------------------- */
document.addEventListener(
  "toggle",
  (e) => {
    if (e.newState === "open" && e.target.matches?.("[role=menu]"))
      $("[role^=menuitem]:not(.only-narrow)", e.target)?.focus();
    if (e.newState === "open" && e.target.matches?.(".picker")) $("[role=combobox]", e.target)?.focus();
  },
  true,
);
document.addEventListener("keydown", (e) => {
  const menu = e.target.closest?.("[role=menu]");
  if (!menu) return;
  const items = [...menu.querySelectorAll("[role^=menuitem]")].filter((i) => i.offsetParent);
  const at = items.indexOf(document.activeElement),
    n = items.length;
  const byLetter = () =>
    e.key.length === 1 &&
    items.find((i, k) => k > at && i.textContent.trim().toLowerCase().startsWith(e.key.toLowerCase()));
  const next =
    { ArrowDown: items[(at + 1) % n], ArrowUp: items[(at - 1 + n) % n], Home: items[0], End: items[n - 1] }[e.key] ??
    byLetter();
  if (e.key === "Tab") menu.hidePopover?.();
  if (next) {
    e.preventDefault();
    next.focus();
  }
});

/* ---- Combobox with a listbox (APG): focus stays in the field, aria-activedescendant moves ------------------ */
document.addEventListener("input", (e) => {
  if (e.target.matches("[data-combobox]")) filterOptions(e.target);
});
document.addEventListener("keydown", (e) => {
  if (!e.target.matches?.("[data-combobox]") || byInputMethod(e)) return;
  const opts = options(e.target).filter((o) => !o.hidden && o.ariaDisabled !== "true");
  const at = opts.findIndex((o) => o.id === e.target.getAttribute("aria-activedescendant"));
  const step = { ArrowDown: 1, ArrowUp: -1 }[e.key];
  if (step) {
    e.preventDefault();
    activate(e.target, opts[(at + step + opts.length) % opts.length]);
  }
  if (e.key === "Enter") {
    e.preventDefault();
    opts[at]?.click();
  }
});
document.addEventListener("click", (e) => {
  const opt = e.target.closest("[role=option]:not([aria-disabled=true])");
  const pop = opt?.closest(".picker");
  if (!pop) return;
  for (const o of pop.querySelectorAll("[role=option]")) {
    o.setAttribute("aria-selected", o === opt);
    $(".opt__end .icon", o)?.remove();
  }
  for (const label of $$("[popovertarget=picker] .label")) label.textContent = opt.dataset.model;
  $("#composer [name=model]").value = opt.dataset.model;
  $("#think").hidden = !("thinks" in opt.dataset);
  pop.hidePopover();
  $("#prompt").focus();
});
const options = (box) => [
  ...document.getElementById(box.getAttribute("aria-controls")).querySelectorAll("[role=option]"),
];
function activate(box, opt) {
  for (const o of options(box)) o.classList.toggle("is-active", o === opt);
  if (opt) {
    box.setAttribute("aria-activedescendant", opt.id);
    opt.scrollIntoView({ block: "nearest" });
  }
}
function filterOptions(box) {
  const q = box.value.trim().toLowerCase();
  for (const o of options(box)) o.hidden = !o.textContent.toLowerCase().includes(q);
  for (const g of $$(`#${box.getAttribute("aria-controls")} [role=group]`))
    g.hidden = !g.querySelector("[role=option]:not([hidden])");
  activate(
    box,
    options(box).find((o) => !o.hidden && o.ariaDisabled !== "true"),
  );
}

/* ---- Dialogs come as parts and open themselves ------------------------------------------------------------ */
document.addEventListener("htmx:afterSwap", (e) => {
  if (e.target.id === "dialogs") $("dialog", e.target)?.showModal();
});
document.addEventListener("htmx:afterRequest", (e) => {
  if (e.detail.xhr.status === 204) e.target.closest("dialog")?.close();
});
document.addEventListener("click", (e) => {
  if (e.target.closest("[data-close]")) e.target.closest("dialog").close();
  if (e.target.closest("[data-drawer-close]")) closeDrawer(e);
  if (e.target.closest("[data-shortcuts]")) showShortcuts();
});
const closeDrawer = (e) => {
  e.preventDefault();
  const drawer = $("#drawer");
  drawer.replaceChildren();
  drawer.className = "";
  drawer.hidden = true;
};
const showShortcuts = () => {
  $("#account-menu")?.hidePopover();
  htmx.ajax("GET", document.body.dataset.shortcutsUrl, "#dialogs");
};

/* ---- Seconds that pass, and where we are in the list ------------------------------------------------------- */
const tick = () => {
  const unit = document.documentElement.lang.startsWith("zh") ? " 秒" : " s";
  for (const clock of $$("[data-since]"))
    clock.textContent = Math.max(0, Math.round((Date.now() - clock.dataset.since) / 1000)) + unit;
};
setInterval(tick, 1000);
const markHere = () => {
  for (const row of $$("#side-list a")) row.toggleAttribute("aria-current", row.pathname === location.pathname);
  for (const row of $$("#side-list a[aria-current]")) row.setAttribute("aria-current", "page");
};
document.addEventListener("portal:told", () => {
  tick();
  markHere();
  mindAll();
});
tick();
markHere();

/* ---- Page shortcuts ----------------------------------------------------------------------------------------- */
const turns = () => $$(".turn");
const here = () => turns().indexOf(document.activeElement.closest?.(".turn"));
const press = (what) => {
  const all = turns();
  const turn = all[here()] ?? all.at(-1);
  $(what, turn ?? document)?.click();
};
const step = (by) => {
  const all = turns();
  const at = here();
  const to = all[Math.max(0, Math.min(all.length - 1, at < 0 ? all.length - 1 : at + by))];
  if (!to) return;
  to.tabIndex = -1;
  to.focus();
  to.scrollIntoView({ block: "nearest" });
};
const SINGLE = {
  "/": () => $("#prompt")?.focus(),
  "?": showShortcuts,
  j: () => step(1),
  k: () => step(-1),
  c: () => press(".turn__tools [data-copy]"),
  r: () => press("[data-again]"),
  "[": () => press("[data-version=previous]"),
  "]": () => press("[data-version=next]"),
  t: () => press(".think summary"),
};
document.addEventListener("keydown", (e) => {
  if (byInputMethod(e) || e.defaultPrevented) return;
  const ctrl = e.ctrlKey || e.metaKey,
    open = $("[popover]:popover-open, dialog[open]"),
    typing = e.target.matches?.("input, textarea, select, [contenteditable]");
  if (ctrl && e.shiftKey && e.key.toLowerCase() === "o") {
    e.preventDefault();
    $("[data-new]")?.click();
  }
  if (ctrl && e.shiftKey && e.key.toLowerCase() === "s") {
    e.preventDefault();
    document.body.classList.toggle("is-side-hidden");
  }
  if (e.key === "Escape" && !open) $("[data-stop]")?.click();
  if (e.target.id === "prompt" && e.key === "ArrowUp" && !e.target.value) $$("[data-edit]").at(-1)?.click();
  if (!typing && !ctrl && !e.altKey && !open && SINGLE[e.key]) {
    e.preventDefault();
    SINGLE[e.key]();
  }
});
