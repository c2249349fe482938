// Drag over the strip to choose a stretch of time; a click on one bar is a link and needs no script.
export function pickStretch() {
  for (const chart of document.querySelectorAll("[data-strip]")) {
    const bars = [...chart.querySelectorAll(".bar")];
    let from = -1, to = -1;
    const index = (event) => bars.indexOf(event.target.closest?.(".bar"));
    const show = () => bars.forEach((bar, at) =>
      bar.classList.toggle("on", from >= 0 && at >= Math.min(from, to) && at <= Math.max(from, to)));
    chart.addEventListener("dragstart", (event) => event.preventDefault());
    chart.addEventListener("pointerdown", (event) => { from = to = index(event); show(); });
    chart.addEventListener("pointermove", (event) => {
      const at = index(event);
      if (from >= 0 && event.buttons && at >= 0) { to = at; show(); }
    });
    addEventListener("pointerup", () => {
      if (from >= 0 && to >= 0 && from !== to) {
        const target = new URL(chart.dataset.strip, location);
        target.searchParams.set("from", bars[Math.min(from, to)].dataset.from);
        target.searchParams.set("to", bars[Math.max(from, to)].dataset.to);
        location.assign(target);
      }
      from = to = -1;
      show();
    });
  }
}
