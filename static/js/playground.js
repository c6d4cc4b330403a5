// playground.js: a form whose answer grows beside it. The lines are explained in models_admin/playground/views.py.

import { $, $$, announce } from "./page.js";

let asking;

document.addEventListener("submit", (e) => {
  const form = e.target.closest("[data-playground]");
  if (!form) return;
  e.preventDefault();
  ask(form, $(form.dataset.playground));
});

document.addEventListener("click", (e) => {
  if (e.target.closest("[data-stop]")) asking?.abort();
});

async function ask(form, out) {
  asking?.abort();
  const mine = (asking = new AbortController());
  begin(form, out);
  try {
    const headers = { "X-CSRFToken": form.elements.csrfmiddlewaretoken.value };
    const answer = await fetch(form.action, { method: "POST", body: new FormData(form), headers, signal: mine.signal });
    if (answer.redirected) return location.reload();
    if (!answer.ok) throw new Error(answer.statusText);
    if (answer.headers.get("Content-Type") === "application/json") return refuse(form, out, (await answer.json()).errors);
    let over = false;
    for await (const told of linesOf(answer.body)) {
      show(form, out, told);
      over = told.done || told.failed;
    }
    if (!over) throw new Error("cut");
  } catch (error) {
    if (mine === asking) phase(out, error.name === "AbortError" ? out.dataset.stopped : out.dataset.lost);
  } finally {
    if (mine === asking) $("[data-stop]", form).hidden = true;
  }
}

function begin(form, out) {
  for (const part of $$("[data-text], [data-thoughts], [data-failed]", out)) part.replaceChildren();
  $("[data-thoughts]", out).hidden = true;
  $("[data-wrong]", form).textContent = "";
  $("[data-stop]", form).hidden = false;
  phase(out, out.dataset.reading);
}

function refuse(form, out, errors) {
  const [name, words] = Object.entries(errors)[0];
  const field = form.elements[name];
  field?.closest("details")?.setAttribute("open", "");
  $("[data-wrong]", form).textContent = words;
  field?.focus?.();
  phase(out, "");
}

function show(form, out, told) {
  if (told.waiting) phase(out, out.dataset.waiting.replace("{n}", told.waiting));
  if (told.phase) phase(out, out.dataset[told.phase]);
  if (told.thinking) {
    $("[data-thoughts]", out).hidden = false;
    $("[data-thoughts]", out).append(told.thinking);
  }
  if (told.text) {
    $("[data-text]", out).append(told.text);
    phase(out, out.dataset.writing);
  }
  if (told.context?.length) $("[data-context]", form).value = JSON.stringify(told.context);
  if (told.done) {
    const { prompt = 0, output = 0 } = told.done;
    phase(out, out.dataset.figures.replace("{read}", prompt).replace("{written}", output));
    announce($("[data-phase]", out).textContent);
  }
  if (told.failed) {
    phase(out, "");
    $("[data-failed]", out).innerHTML = told.failed; // rendered and escaped by the portal
  }
}

function phase(out, words) {
  const box = $("[data-phase]", out);
  if (box.textContent !== words) box.textContent = words;
}

async function* linesOf(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (let { done, value } = await reader.read(); !done; { done, value } = await reader.read()) {
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) yield JSON.parse(line);
  }
}
