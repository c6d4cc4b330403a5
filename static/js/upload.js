// upload.js: a GGUF file to a host. Hashed first, for the host asks by its digest; then sent in pieces over a socket.
// The messages are explained in models_admin/modelfile/upload.py.

import { $ } from "./page.js";

const PIECE = 48 * 1024,
  WINDOW = 1024 * 1024;
const QUANTIZABLE = { 0: "F32", 1: "F16", 32: "BF16" };

let stop = () => {};

document.addEventListener("change", (e) => {
  const box = e.target.closest("[data-upload]");
  if (box && e.target.type === "file" && e.target.files[0]) begin(box, e.target.files[0]);
});

document.addEventListener("click", (e) => {
  if (e.target.closest("[data-upload-stop]")) stop();
  // Browsers say nothing of a file that is chosen again; so there is none while one is chosen.
  if (e.target.matches("[data-upload] [type=file]")) e.target.value = "";
});

async function begin(box, file) {
  stop();
  const leaving = new AbortController(),
    { signal } = leaving;
  const end = (words) => {
    leaving.abort();
    $("progress", box).hidden = $("[data-upload-stop]", box).hidden = true;
    say(box, words);
  };
  stop = () => end("");
  try {
    const kind = await kindOf(file);
    signal.throwIfAborted();
    if (kind === undefined) return end(box.dataset.notGguf);
    const digest = await digestOf(box, file, signal);
    const failed = await send(box, file, digest, signal);
    if (signal.aborted) return;
    if (failed) return end(failed);
    end(box.dataset.there);
    $("[name=file_kind]", box).value = QUANTIZABLE[kind] ?? "";
    use(digest);
  } catch (error) {
    if (!signal.aborted) end(error instanceof DOMException ? box.dataset.unreadable : box.dataset.lost);
  }
}

function say(box, words) {
  $("[role=status]", box).textContent = words;
}

function show(box, words, done, whole, speed = "") {
  const percent = Math.floor((done / whole) * 100);
  const bar = $("progress", box);
  bar.hidden = $("[data-upload-stop]", box).hidden = false;
  bar.value = percent;
  say(box, words.replace("{percent}", `${percent} %`).replace("{speed}", speed));
}

function digestOf(box, file, signal) {
  const worker = new Worker(new URL("./sha256.js", import.meta.url), { type: "module" });
  return new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => {
      if (data.error) reject(data.error);
      else if (data.digest) resolve(data.digest);
      else if (!signal.aborted) show(box, box.dataset.reading, data.read, file.size);
    };
    worker.onerror = reject;
    signal.addEventListener("abort", reject);
    worker.postMessage(file);
  }).finally(() => worker.terminate());
}

/** Resolves with what failed, if anything did. */
function send(box, file, digest, signal) {
  const socket = new WebSocket(location.origin.replace(/^http/, "ws") + "/ws/admin/upload/");
  const began = Date.now();
  let sent = 0,
    got = 0,
    sending = false;
  return new Promise((resolve, reject) => {
    const push = async () => {
      if (sending) return;
      sending = true;
      while (sent < file.size && sent + PIECE - got <= WINDOW && !signal.aborted) {
        const piece = await file.slice(sent, sent + PIECE).arrayBuffer();
        if (signal.aborted) break;
        sent += piece.byteLength;
        socket.send(piece);
      }
      sending = false;
    };
    socket.onopen = () => {
      const lang = document.documentElement.lang.startsWith("zh") ? "zh-hans" : "en";
      socket.send(JSON.stringify({ host: Number($("#mh").value), digest, size: file.size, lang }));
    };
    socket.onmessage = ({ data }) => {
      const told = JSON.parse(data);
      if (signal.aborted) return;
      if (told.done) resolve("");
      if ("failed" in told) resolve(told.failed || box.dataset.lost);
      if (told.got) {
        got = told.got;
        const perS = got / Math.max(0.5, (Date.now() - began) / 1000);
        show(box, box.dataset.sending, got, file.size, `${(perS / 1e6).toFixed(1)} MB/s`);
      }
      if (told.go || told.got) push().catch(reject);
    };
    socket.onclose = () => reject(new Error("closed"));
    signal.addEventListener("abort", () => socket.close());
  });
}

/** The base of the model that is written is now the file. */
function use(digest) {
  const text = $("#mt"),
    line = `FROM @${digest}`;
  const lines = text.value.split("\n");
  const at = lines.findIndex((each) => /^\s*from\b/i.test(each));
  if (at < 0) lines.unshift(line);
  else lines[at] = line;
  text.value = lines.join("\n");
  text.dispatchEvent(new Event("input", { bubbles: true }));
}

/** How the weights are stored (general.file_type of the file); null when it does not say, undefined: no GGUF file. */
async function kindOf(file) {
  const view = new DataView(await file.slice(0, 256 * 1024).arrayBuffer());
  if (view.byteLength < 24 || view.getUint32(0) !== 0x47475546) return undefined;
  try {
    return fileType(view);
  } catch {
    return null; // cut off, or longer than we look
  }
}

const SIZES = [1, 1, 2, 2, 4, 4, 4, 1, , , 8, 8, 8];
const STRING = 8,
  UINT32 = 4;

function fileType(view) {
  let at = 24;
  const string = () => {
    const length = Number(view.getBigUint64(at, true));
    const text = new TextDecoder().decode(new Uint8Array(view.buffer, at + 8, length));
    at += 8 + length;
    return text;
  };
  for (let left = Number(view.getBigUint64(16, true)); left; left--) {
    const key = string();
    const type = view.getUint32(at, true);
    at += 4;
    if (key === "general.file_type" && type === UINT32) return view.getUint32(at, true);
    if (type === STRING) string();
    else if (SIZES[type]) at += SIZES[type];
    else return null; // a list: the words of the model, before which what we look for stands
  }
  return null;
}
