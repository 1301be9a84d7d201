// Comfort only: every page works without this file. No eval, no inline code, no state of its own.
"use strict";
(() => {
  // Times are rendered by the server, in the zone of this browser.
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (zone) document.cookie = `tz=${zone}; path=/; max-age=31536000; samesite=lax${location.protocol === "https:" ? "; secure" : ""}`;

  // In the server's words (src/web/view/times.rs).
  const plural = (n, unit) => `${n} ${unit}${n === 1 ? "" : "s"}`;
  const lasted = (s) => {
    if (s < 60) return plural(s, "second");
    if (s < 3600) return plural(Math.floor(s / 60), "minute");
    if (s < 86400) return s % 3600 < 60 ? plural(Math.floor(s / 3600), "hour") : `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
    return s < 31536000 ? plural(Math.floor(s / 86400), "day") : plural(Math.floor(s / 31536000), "year");
  };
  const inNearest = (s) => {
    const unit = s < 60 ? 1 : s < 86400 ? 60 : s < 31536000 ? 86400 : 31536000;
    return lasted(Math.round(s / unit) * unit);
  };
  const ago = (iso) => {
    const seconds = Math.floor(Date.now() / 1000) - Math.floor(Date.parse(iso) / 1000);
    if (seconds < 0) return `in ${inNearest(-seconds)}`;
    return seconds < 5 ? "just now" : `${lasted(seconds)} ago`;
  };
  const refresh = () => {
    for (const time of document.querySelectorAll("time.ago[datetime]")) {
      const text = ago(time.dateTime);
      if (text !== time.textContent) time.textContent = text;
    }
  };
  setInterval(() => document.hidden || refresh(), 30000);
  document.addEventListener("visibilitychange", () => document.hidden || refresh());

  // Dialogs by invoker commands, where the browser does not know them yet.
  if (!("command" in HTMLButtonElement.prototype)) {
    document.addEventListener("click", (event) => {
      const button = event.target.closest("button[commandfor]");
      const dialog = button && document.getElementById(button.getAttribute("commandfor"));
      if (!dialog) return;
      if (button.getAttribute("command") === "show-modal") dialog.showModal();
      if (button.getAttribute("command") === "close") dialog.close();
    });
  }

  // Menus close by a click elsewhere and by Escape; under a dialog they stay, as it gives the focus back.
  document.addEventListener("click", (event) => {
    const menu = event.target.closest("details.menu");
    if (!event.target.closest("dialog")) for (const open of document.querySelectorAll("details.menu[open]")) if (open !== menu) open.open = false;
    const copy = event.target.closest("[data-copy]");
    if (copy) copyText(document.querySelector(copy.dataset.copy));
  });
  // Browsers give no clipboard to pages without TLS: there the text is at least selected.
  const copyText = async (element) => {
    getSelection().selectAllChildren(element);
    try {
      await navigator.clipboard.writeText(element.textContent);
      say("Copied.", "ok");
    } catch {
      say("Selected; copy it with the keyboard.", "ok");
    }
  };

  // A line in the page's status area.
  const say = (text, kind) => {
    const area = document.getElementById("flash");
    if (!area) return;
    const line = document.createElement("div");
    const p = document.createElement("p");
    line.className = `flash ${kind}`;
    line.dataset.said = "";
    p.textContent = text;
    line.append(p);
    area.querySelector("[data-said]")?.remove();
    area.append(line);
    if (kind === "ok") setTimeout(() => line.remove(), 3000);
  };

  // What is wrong in a form is where one goes on; in a frame the browser's autofocus comes first.
  requestAnimationFrame(() => document.querySelector("main [aria-invalid=true]")?.focus());

  // Keys.
  const places = { d: "/", a: "/alerts", s: "/servers", o: "/owners", t: "/thresholds", p: "/publications" };
  let going = 0;
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !document.querySelector("dialog[open]")) {
      const menu = document.querySelector("details.menu[open]");
      if (menu) { menu.open = false; menu.querySelector("summary").focus(); }
    }
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (event.target.closest("input, select, textarea, [contenteditable]") || document.querySelector("dialog[open]")) return;
    const link = Date.now() - going < 1500 && places[event.key] && document.querySelector(`.nav a[href="${places[event.key]}"]`);
    going = event.key === "g" ? Date.now() : 0;
    if (link) link.click();
    else if (event.key === "?") document.getElementById("keys")?.showModal();
    else if (event.key === "/") {
      const search = document.querySelector("[data-search]");
      if (search) { event.preventDefault(); search.select(); search.focus(); }
    }
  });

  // Selects that show another page when they are changed by hand; by keys one comes past every choice, so there
  // the form's button shows itself. Forms that are on their way.
  let keyed = false;
  document.addEventListener("keydown", () => { keyed = true; }, true);
  document.addEventListener("pointerdown", () => { keyed = false; }, true);
  document.addEventListener("change", (event) => !keyed && event.target.form?.matches("[data-auto]") && event.target.form.requestSubmit());
  document.addEventListener("submit", (event) => {
    const button = event.submitter;
    if (event.target.method !== "post" || !button) return;
    if (button.getAttribute("aria-busy") === "true") event.preventDefault();
    button.setAttribute("aria-busy", "true");
  });
  window.addEventListener("pageshow", () => document.querySelectorAll("[aria-busy]").forEach((busy) => busy.removeAttribute("aria-busy")));

  // What is new in a list comes by itself while somebody looks at it: a stream says that there is something, and the
  // list asks for its rows. A hidden tab has none, as browsers allow few connections.
  let stream = null, heard = "";
  const listen = () => {
    const list = document.querySelector("[data-live]");
    const url = document.hidden ? "" : list?.dataset.live ?? "";
    if (url === heard) return;
    stream?.close();
    heard = url;
    stream = url ? new EventSource(url + list.dataset.seen) : null;
    stream?.addEventListener("message", () => document.querySelector("[data-live]")?.dispatchEvent(new Event("news")));
    stream?.addEventListener("error", ({ target }) => target.readyState === EventSource.CLOSED && setTimeout(() => { if (target === stream) { heard = ""; listen(); } }, 60000));
  };
  listen();
  for (const event of ["visibilitychange", "htmx:after:swap"]) document.addEventListener(event, listen);
  window.addEventListener("pageshow", listen);
  window.addEventListener("pagehide", () => { stream?.close(); heard = ""; });

  // How many alerts are open comes with them; the menu and the title say it too.
  const recount = () => {
    const open = document.querySelector("[data-open]")?.dataset.open;
    const count = document.querySelector(".nav .count");
    if (open === undefined || !count) return;
    count.firstChild.textContent = open;
    count.hidden = open === "0";
    document.title = `${open === "0" ? "" : `(${open}) `}${document.title.replace(/^\(\d+\) /, "")}`;
  };

  // htmx: hidden tabs do not poll, empty filters stay out of the URL, failures are said.
  document.addEventListener("htmx:config:request", (event) => {
    const { ctx } = event.detail;
    if (document.hidden && ctx.sourceEvent?.type === "every") event.preventDefault();
    if (ctx.request.method === "GET" && ctx.request.body) for (const [key, value] of [...ctx.request.body]) if (value === "") ctx.request.body.delete(key);
  });
  document.addEventListener("htmx:response:error", (event) => say(`The server answered ${event.detail.ctx.response.status}. What you see may be old.`, "error"));
  document.addEventListener("htmx:error", () => say("prommgr does not answer. What you see may be old.", "error"));
  document.addEventListener("htmx:after:swap", (event) => {
    if (event.detail.ctx.response?.status >= 400) return;
    refresh();
    recount();
    document.querySelector("#flash .error[data-said]")?.remove();
  });
})();
