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
    if (main.querySelector(".at:hover, .at.on")) return; // somebody reads a value
    const answer = await fetch(location.href, { credentials: "same-origin" });
    if (answer.redirected) return location.reload(); // the session has ended
    if (!answer.ok) return;
    const next = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("main");
    if (!next || next.innerHTML === main.innerHTML) return;
    const again = main.contains(document.activeElement) && mark(document.activeElement);
    main.replaceChildren(...next.childNodes);
    if (again) main.querySelector(again)?.focus({ preventScroll: true });
  }

  // pick shows the values of one step of a chart; without a step, none.
  function pick(chart, step) {
    chart.querySelector(".at.on")?.classList.remove("on");
    chart.closest("figure").querySelector("output").textContent = step ? step.dataset.values : "";
  }
  document.addEventListener("pointerover", (e) => {
    const step = e.target.closest(".at");
    if (step) pick(step.closest(".chart"), step);
  });
  document.addEventListener("pointerout", (e) => {
    if (e.target.closest(".at") && e.pointerType === "mouse") pick(e.target.closest(".chart"));
  });
  document.addEventListener("keydown", (e) => { // the arrows walk along the chart that has the focus
    const chart = document.activeElement?.closest(".chart"), way = { ArrowLeft: -1, ArrowRight: 1 }[e.key];
    if (!chart || !way) return;
    const steps = [...chart.querySelectorAll(".at")], now = steps.findIndex((s) => s.classList.contains("on"));
    const next = steps.at(now < 0 ? (way < 0 ? -1 : 0) : Math.min(steps.length - 1, Math.max(0, now + way)));
    pick(chart, next);
    next.classList.add("on");
    e.preventDefault();
  });
  document.addEventListener("focusout", (e) => { if (e.target.closest?.(".chart")) pick(e.target.closest(".chart")); });

  setInterval(() => renew().catch(() => {}), every); // a relay that restarts is there again soon
})();
