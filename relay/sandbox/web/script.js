// Renews the list every few seconds while somebody looks at it.
"use strict";
setInterval(async () => {
  if (document.hidden || String(getSelection())) return;
  const typing = document.getElementById("q"); // is replaced by what the address asks for
  if (typing && (typing === document.activeElement || typing.value !== typing.defaultValue)) return;
  try {
    const next = new DOMParser().parseFromString(await (await fetch(location.href)).text(), "text/html");
    const focus = document.activeElement.getAttribute("href");
    document.title = next.title;
    document.body.replaceChildren(...next.body.childNodes);
    if (focus) document.querySelector(`a[href="${CSS.escape(focus)}"]`)?.focus({ preventScroll: true });
  } catch { } // the sandbox is being restarted
}, 3000);
