// Comfort only: every page works without this file. No eval, no inline code, no state of its own.
"use strict";
(() => {
  const root = document.documentElement;
  root.classList.add("js");

  // Times are rendered by the server, in the zone of this browser.
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (zone) document.cookie = `tz=${encodeURIComponent(zone)}; path=/; max-age=31536000; samesite=lax${location.protocol === "https:" ? "; secure" : ""}`;

  const units = [["day", 86400], ["hour", 3600], ["minute", 60]];
  const ago = (iso) => {
    const seconds = Math.round((Date.now() - Date.parse(iso)) / 1000);
    if (Number.isNaN(seconds) || seconds < 0) return null;
    for (const [unit, length] of units) {
      const n = Math.floor(seconds / length);
      if (n >= 1) return `${n} ${unit}${n === 1 ? "" : "s"} ago`;
    }
    return seconds < 10 ? "just now" : `${seconds} seconds ago`;
  };
  const refresh = () => {
    for (const time of document.querySelectorAll("time.ago[datetime]")) {
      const text = ago(time.dateTime);
      if (text && text !== time.textContent) time.textContent = text;
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

  // Menus close by a click elsewhere, by Escape, and when they open a dialog.
  const closeMenus = (except) => {
    for (const menu of document.querySelectorAll("details.menu[open]")) if (menu !== except) menu.open = false;
  };
  document.addEventListener("click", (event) => {
    closeMenus(event.target.closest("[commandfor]") ? null : event.target.closest("details.menu"));
    const copy = event.target.closest("[data-copy]");
    if (copy) copyText(copy);
  });
  const copyText = async (button) => {
    const text = document.querySelector(button.dataset.copy)?.textContent ?? "";
    await navigator.clipboard?.writeText(text);
    say("Copied.", "ok");
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

  // Keys.
  const places = { d: "/", a: "/alerts", s: "/servers", o: "/owners", t: "/thresholds", p: "/publications" };
  let going = 0;
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
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

  // Selects that show another page when they change; forms that are on their way.
  document.addEventListener("change", (event) => event.target.form?.matches("[data-auto]") && event.target.form.requestSubmit());
  document.addEventListener("submit", (event) => {
    const button = event.submitter;
    if (event.target.method !== "post" || !button) return;
    if (button.getAttribute("aria-busy") === "true") event.preventDefault();
    button.setAttribute("aria-busy", "true");
  });
  window.addEventListener("pageshow", () => document.querySelectorAll("[aria-busy]").forEach((busy) => busy.removeAttribute("aria-busy")));

  // htmx: hidden tabs do not poll, empty filters stay out of the URL, failures are said.
  document.addEventListener("htmx:config:request", (event) => {
    const { ctx } = event.detail;
    if (document.hidden && ctx.sourceEvent?.type === "every") event.preventDefault();
    if (ctx.request.method === "GET" && ctx.request.body) for (const [key, value] of [...ctx.request.body]) if (value === "") ctx.request.body.delete(key);
  });
  document.addEventListener("htmx:response:error", (event) => say(`The server answered ${event.detail.ctx.response.status}. What you see may be old.`, "error"));
  document.addEventListener("htmx:error", () => say("prommgr does not answer. What you see may be old.", "error"));
  document.addEventListener("htmx:after:swap", () => { refresh(); document.querySelector("#flash .error[data-said]")?.remove(); });
})();
