// Renews the content of a page every few seconds while somebody looks at it.
"use strict";
(() => {
  const every = 4000;

  // mark finds an element again in the renewed page.
  const mark = (e) => e && (e.id ? "#" + CSS.escape(e.id) : e.getAttribute("href") ? `[href="${CSS.escape(e.getAttribute("href"))}"]` : "");

  async function renew() {
    const main = document.querySelector("main[data-live]");
    if (!main || document.hidden) return;
    const focus = document.activeElement;
    if (focus && focus.matches("input, select, textarea")) return; // somebody types
    if (String(getSelection())) return; // somebody copies
    const answer = await fetch(location.href, { credentials: "same-origin" });
    if (answer.redirected) return location.reload(); // the session has ended
    if (!answer.ok) return;
    const next = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("main");
    if (!next || next.innerHTML === main.innerHTML) return;
    const again = main.contains(document.activeElement) && mark(document.activeElement);
    main.replaceChildren(...next.childNodes);
    if (again) main.querySelector(again)?.focus({ preventScroll: true });
  }

  setInterval(() => renew().catch(() => {}), every); // a relay that restarts is there again soon
})();
