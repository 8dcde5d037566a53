// Follows a run by server-sent events, says that long work is under way, and narrows the field catalogue down.
const MOST_ROWS = 200;
const live = document.getElementById("live");
const lostLine = document.getElementById("lost");

function follow() {
  const tail = document.getElementById("tail");
  const state = document.getElementById("live-state");
  const source = new EventSource(live.dataset.events);
  const renew = () => {
    if (document.hidden) document.addEventListener("visibilitychange", renew, { once: true });
    else htmx.ajax("GET", live.dataset.run, { target: "#run", swap: "outerHTML" });
  };
  source.addEventListener("open", () => { lostLine.hidden = true; });
  source.addEventListener("request", (event) => {
    const held = document.createElement("tbody");
    held.innerHTML = event.data;
    const row = held.firstElementChild;
    document.getElementById(row.id)?.remove();
    tail.prepend(row);
    while (tail.children.length > MOST_ROWS) tail.lastElementChild.remove();
    document.getElementById("none")?.remove();
  });
  source.addEventListener("progress", (event) => {
    const shown = document.getElementById("progress");
    if (shown) shown.innerHTML = event.data;
  });
  source.addEventListener("end", (event) => {
    source.close();
    state.textContent = event.data;
    renew();
  });
  source.addEventListener("error", () => {
    if (source.readyState !== EventSource.CLOSED) {
      lostLine.hidden = false; // the browser tries again by itself, from where it was
      return;
    }
    state.textContent = "not live";
    state.title = "Too many look on just now, or it may not be followed; how far it is renews itself.";
    const timer = setInterval(() => {
      if (state.isConnected && document.querySelector("#run .bg-azure-lt")) renew();
      else clearInterval(timer);
    }, 5000);
  });
  window.addEventListener("pagehide", () => source.close());
}
if (live) follow();

for (const form of document.querySelectorAll("form[data-working]")) {
  form.addEventListener("submit", () => {
    const said = document.createElement("div");
    said.className = "working";
    said.setAttribute("role", "status");
    const began = Date.now();
    const tell = () => { said.textContent = `${form.dataset.working} ${Math.round((Date.now() - began) / 1000)} s`; };
    tell();
    setInterval(tell, 1000);
    form.after(said);
    // After the browser has taken the form: a button that is disabled is not sent.
    setTimeout(() => { for (const button of form.querySelectorAll("button")) button.disabled = true; });
  });
}
window.addEventListener("pageshow", () => {
  for (const said of document.querySelectorAll(".working")) said.remove();
  for (const button of document.querySelectorAll("form[data-working] button")) button.disabled = false;
});

for (const field of document.querySelectorAll("[data-filters]")) {
  field.addEventListener("input", () => {
    const wanted = field.value.trim().toLowerCase();
    for (const row of document.getElementById(field.dataset.filters).tBodies[0].rows) {
      row.hidden = !row.textContent.toLowerCase().includes(wanted);
    }
  });
}
