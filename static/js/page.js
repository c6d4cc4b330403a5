// page.js: what the other modules share.

export const $ = (selector, root = document) => root.querySelector(selector);
export const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];

/** Says one short sentence to screen readers. The same text twice is still announced. */
export function announce(text) {
  const box = $("#status");
  box.textContent = "";
  requestAnimationFrame(() => {
    box.textContent = text;
  });
}
