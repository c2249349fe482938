// Keys: move among rows or messages, open, mark, go to the neighbours, search, show what keys there are.
const typing = (target) => target.closest?.("input, textarea, select, [contenteditable]");

export function listen() {
  const items = [...document.querySelectorAll(".list tbody tr, .entries .entry")];
  let at = -1;
  const move = (step) => {
    if (!items.length) return;
    items[at]?.classList.remove("cursor");
    at = Math.max(0, Math.min(items.length - 1, at + step));
    items[at].classList.add("cursor");
    (items[at].querySelector("a.open") ?? items[at]).focus({ preventScroll: true });
    items[at].scrollIntoView({ block: "nearest" });
  };
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      typing(event.target)?.blur();
      for (const menu of document.querySelectorAll("details.menu[open]")) menu.open = false;
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
    if (event.key === "j") move(1);
    else if (event.key === "k") move(-1);
    else if (event.key === "?") document.getElementById("keys")?.showModal();
    else if (event.key === "m" && items[at]?.querySelector(".star")) items[at].querySelector(".star").click();
    else {
      const target = document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
      if (!target) return;
      event.preventDefault();
      if (target.matches("input")) target.focus();
      else target.click();
    }
  });
}
