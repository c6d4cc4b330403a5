// answer-stream.js: an answer that grows. Closed blocks are never touched again, so that a selection in them, a
// pressed button or an open detail survives; only the open region after the mark is drawn anew.

const template = document.createElement("template");
const parsed = (html) => {
  template.innerHTML = html;
  return template.content;
};

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
      this.#clear();
      this.#mark.before(parsed(region.slice(0, z)));
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
    const next = parsed(this.#open);
    let old = this.#mark.nextSibling;
    // Nodes that stay equal stay themselves; the first that differs, and all after it, are replaced.
    while (old && next.firstChild && old.isEqualNode(next.firstChild)) {
      next.firstChild.remove();
      old = old.nextSibling;
    }
    while (old) {
      const after = old.nextSibling;
      old.remove();
      old = after;
    }
    this.append(next);
  }

  #clear() {
    while (this.#mark.nextSibling) this.#mark.nextSibling.remove();
  }
}
customElements.define("answer-stream", AnswerStream);
