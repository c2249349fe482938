// Asks now and then whether conversations have arrived, and says so; the list stays as it is.
const EVERY_MS = 4000;

export function watchArrivals() {
  const note = document.querySelector("[data-live]");
  if (!note) return;
  const ask = async () => {
    if (document.hidden) return;
    try {
      const answer = await fetch(note.dataset.live, { headers: { Accept: "application/json" } });
      if (!answer.ok || answer.redirected) return;
      const { count, text } = await answer.json();
      note.hidden = !count;
      if (count) note.firstElementChild.textContent = text;
    } catch { /* the server is away; the next time will tell */ }
  };
  setInterval(ask, EVERY_MS);
  document.addEventListener("visibilitychange", ask);
}
