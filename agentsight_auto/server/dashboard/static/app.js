// Helps pages that work without it: the reader's zone, keys, arrivals, the strip, selections.
import { watchArrivals } from "./arrivals.js";
import { listen } from "./keys.js";
import { pickStretch } from "./strip.js";

const root = document.documentElement;
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
if (!root.dataset.zone && zone) {
  const secure = location.protocol === "https:" ? "; secure" : "";
  document.cookie = `agentsight_zone=${zone}; path=/; max-age=31536000; samesite=lax${secure}`;
  if (zone !== "UTC" && document.cookie.includes("agentsight_zone=")) location.reload();
}

for (const select of document.querySelectorAll(".preferences select"))
  select.addEventListener("change", () => select.form.requestSubmit());

document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.menu[open]"))
    if (!menu.contains(event.target)) menu.open = false;
});

const all = document.querySelector("[data-all]");
const ticks = [...document.querySelectorAll("[name=ids][type=checkbox]")];
let last = null;
all?.addEventListener("change", () => ticks.forEach((tick) => { tick.checked = all.checked; }));
ticks.forEach((tick, index) => tick.addEventListener("click", (event) => {
  if (event.shiftKey && last !== null)
    for (let at = Math.min(last, index); at <= Math.max(last, index); at++) ticks[at].checked = tick.checked;
  last = index;
  if (all) all.checked = ticks.every((other) => other.checked);
}));

for (const link of document.querySelectorAll(".permalink"))
  link.addEventListener("click", () => navigator.clipboard?.writeText(link.href).catch(() => {}));

listen();
watchArrivals();
pickStretch();
