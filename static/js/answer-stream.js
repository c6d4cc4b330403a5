// answer-stream.js: an answer that grows. Closed blocks are never touched again, so that a selection in them, a
// pressed button or an open detail survives. In the open region after the mark only what differs is drawn anew.

const template = document.createElement("template");
const parsed = (html) => {
  template.innerHTML = html;
  return template.content;
};

const sameShell = (a, b) => a.nodeType === 1 && a.cloneNode().isEqualNode(b.cloneNode());

/** Makes `old` and the nodes after it, in `place`, equal to the nodes in `fresh`. What is equal stays itself. */
function match(place, old, fresh) {
  let next = fresh.firstChild;
  while (old && next && old.isEqualNode(next)) [old, next] = [old.nextSibling, next.nextSibling];
  // The first that differs may only have grown. A list of a thousand lines is not laid out anew for one more.
  if (old && next && grown(old, next)) [old, next] = [old.nextSibling, next.nextSibling];
  while (old) {
    const gone = old;
    old = old.nextSibling;
    gone.remove();
  }
  while (next) {
    const come = next;
    next = next.nextSibling;
    place.append(come);
  }
}

/** Whether `old` could be made equal to `next` and stay itself. */
function grown(old, next) {
  if (old.nodeType === 3 && next.nodeType === 3 && next.data.startsWith(old.data)) {
    old.appendData(next.data.slice(old.data.length));
    return true;
  }
  if (!sameShell(old, next)) return false;
  match(old, old.firstChild, next);
  return true;
}

class AnswerStream extends HTMLElement {
  #frozen = "";
  #open = "";
  #at = -1; // code points shown; -1 until a snapshot has come
  #mark = null;
  #dirty = false;

  get run() {
    return this.dataset.run;
  }

  /** A whole state: what it shares with the present one stays in place. */
  snap({ f, o }, at) {
    if (this.#at < 0 || !f.startsWith(this.#frozen)) {
      this.replaceChildren(parsed(f));
      this.#mark = this.appendChild(document.createComment("open"));
    } else this.#mark.before(parsed(f.slice(this.#frozen.length)));
    this.#frozen = f;
    this.#open = o;
    this.#at = at;
    this.#draw();
  }

  /** One frame; false when it does not follow what is shown. */
  grow({ n: [from, to], k, h, z }) {
    if (this.#at !== from) return false;
    const region = this.#open.slice(0, k) + h;
    if (z) {
      match(this, this.#mark.nextSibling, parsed(region.slice(0, z)));
      this.append(this.#mark);
      this.#frozen += region.slice(0, z);
    }
    this.#open = region.slice(z);
    this.#at = to;
    this.#draw();
    return true;
  }

  /** The run has ended: nothing grows any more. */
  end() {
    if (this.#dirty) this.#paint();
    this.#mark?.remove();
    this.#mark = null;
    this.#at = -1;
    this.#frozen = "";
    delete this.dataset.run;
    delete this.dataset.at;
  }

  #draw() {
    if (this.#dirty) return;
    this.#dirty = true;
    // A hidden tab has no frames to wait for.
    if (document.hidden) this.#paint();
    else requestAnimationFrame(() => this.#dirty && this.#paint());
  }

  #paint() {
    this.#dirty = false;
    if (!this.#mark) return;
    match(this, this.#mark.nextSibling, parsed(this.#open));
  }
}
customElements.define("answer-stream", AnswerStream);
