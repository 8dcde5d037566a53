// Follows a run by server-sent events, says that long work is under way, and narrows the field catalogue down.
const MOST_ROWS = 200;
const live = document.getElementById("live");
const lostLine = document.getElementById("lost");

const tail = document.getElementById("tail");
const state = document.getElementById("live-state");
const AGAIN = 5000; // milliseconds until a stream that was refused is asked for again

function renew() {
  if (document.hidden) document.addEventListener("visibilitychange", renew, { once: true });
  else htmx.ajax("GET", live.dataset.run, { target: "#run", swap: "outerHTML" });
}

// `place`: the last request that is shown.
function follow(place) {
  const address = new URL(live.dataset.events, location);
  if (place) address.searchParams.set("after", place);
  const source = new EventSource(address);
  source.addEventListener("open", () => {
    lostLine.hidden = true;
    state.textContent = "live";
    state.title = "";
  });
  source.addEventListener("request", (event) => {
    place = event.lastEventId;
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
    state.title = "Too many look on just now, or the server is not there; it is tried again every few seconds.";
    setTimeout(() => {
      renew();
      follow(place);
    }, AGAIN);
  });
  window.addEventListener("pagehide", () => source.close());
}
if (live) follow();

// Says beside a form for how long it is worked on; returns what ends that.
function works(form, words) {
  const said = document.createElement("div");
  said.className = "working";
  said.setAttribute("role", "status");
  const began = Date.now();
  const tell = () => { said.textContent = `${words} ${Math.round((Date.now() - began) / 1000)} s`; };
  tell();
  const timer = setInterval(tell, 1000);
  form.after(said);
  return () => {
    clearInterval(timer);
    said.remove();
  };
}

for (const form of document.querySelectorAll("form[data-working]")) {
  form.addEventListener("submit", () => {
    works(form, form.dataset.working);
    // After the browser has taken the form: a button that is disabled is not sent.
    setTimeout(() => { for (const button of form.querySelectorAll("button")) button.disabled = true; });
  });
}
// The answer is a file, and the page stays: it is kept once it is there; a refusal takes the page's place.
for (const form of document.querySelectorAll("form[data-download]")) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector("button");
    const done = works(form, form.dataset.download);
    button.disabled = true;
    try {
      const answer = await fetch(form.action, { method: "POST", body: new URLSearchParams(new FormData(form)) });
      if (answer.ok && !answer.redirected) save(await answer.blob(), answer.headers.get("Content-Disposition"));
      else replace(await answer.text());
    } catch {
      replace("<main><div class='container-xl py-3'><h1>The server did not answer</h1><p>Plan again.</p></div></main>");
    } finally {
      done();
      button.disabled = false;
    }
  });
}

function save(blob, disposition) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = /filename="([^"]+)"/.exec(disposition ?? "")?.[1] ?? "plan.jsonl";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

function replace(page) {
  const main = new DOMParser().parseFromString(page, "text/html").querySelector("main");
  if (main) document.querySelector("main").replaceWith(main);
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
