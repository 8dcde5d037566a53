// The theme switch, and what htmx does not do by itself: say that the connection is lost, and rest while nobody looks.
document.getElementById("theme").addEventListener("click", () => {
  const root = document.documentElement;
  root.dataset.bsTheme = root.dataset.bsTheme === "dark" ? "light" : "dark";
  try {
    localStorage.setItem("tidegate-theme", root.dataset.bsTheme);
  } catch {
    // storage is blocked: the choice holds until the page is left
  }
});

const lost = document.getElementById("lost");
const SOON = 3_000, LATE = 60_000; // milliseconds until the server is asked again, at first and in the end
let pause = SOON;
let again; // what failed last, and does not ask again by itself

// What the server says there; undefined when it does not answer.
async function told(address) {
  try {
    const answer = await fetch(address, { cache: "no-store", signal: AbortSignal.timeout(5_000) });
    return answer.ok ? await answer.json() : undefined;
  } catch {
    return undefined;
  }
}

// What renews itself finds out by itself; for everything else the server is asked whether it is there, ever more rarely.
function lose(asked) {
  lost.hidden = false;
  if (asked?.elt.getAttribute("hx-trigger")?.includes("every")) return;
  const asks = again !== undefined;
  again = asked ?? null;
  if (asks) return;
  const ask = async () => {
    if (!(await told("/healthz"))) return setTimeout(ask, (pause = Math.min(2 * pause, LATE)));
    const failed = again;
    again = undefined;
    lost.hidden = true;
    if (failed?.elt.isConnected && failed.requestConfig.verb === "get") htmx.ajax("GET", failed.requestConfig.path, { source: failed.elt, target: failed.target });
  };
  setTimeout(ask, pause);
}
for (const name of ["htmx:sendError", "htmx:timeout"]) document.body.addEventListener(name, (event) => lose(event.detail));
document.body.addEventListener("htmx:responseError", (event) => {
  if (event.detail.xhr.status < 500) lost.hidden = true; // a refusal is an answer, too
  else {
    pause = Math.min(2 * pause, LATE);
    lose(event.detail);
  }
});
document.body.addEventListener("htmx:afterSwap", () => {
  lost.hidden = true;
  pause = SOON;
});

// A form goes where somebody takes it, and from who is signed in: what was typed would be gone with the page, as the browser
// keeps none of ours.
const ended = document.getElementById("ended"); // only on pages of who may see them by a session
const begun = document.getElementById("begun");

function say(one) {
  if (!one.hidden) return;
  for (const other of [lost, ended, begun]) if (other) other.hidden = other !== one;
  one.scrollIntoView({ block: "nearest" });
}
// Whether the form may go; says why not.
async function taken(form) {
  const said = await told(ended ? "/session" : "/healthz");
  if (!said) {
    lose();
    lost.scrollIntoView({ block: "nearest" });
  } else if (ended && !said.entered && form.getAttribute("action") !== "/logout") say(ended);
  else return true;
  return false;
}
document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (form.method !== "post" || form.dataset.reached) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  if (form.dataset.asking) return;
  form.dataset.asking = "yes";
  const goes = await taken(form);
  delete form.dataset.asking;
  if (!goes) return;
  form.dataset.reached = "yes";
  form.requestSubmit(event.submitter);
  delete form.dataset.reached;
}, true);

// A part that is refused leads the whole page to signing in: not where something was typed.
let typed = false;
document.addEventListener("input", (event) => { typed ||= event.target.form?.method === "post"; });
document.body.addEventListener("htmx:beforeOnLoad", (event) => {
  if (event.detail.xhr.status !== 401 || !typed || !ended) return;
  event.preventDefault();
  say(ended);
});
window.addEventListener("focus", async () => {
  const said = ended && !ended.hidden && (await told("/session"));
  if (!said?.entered) return;
  document.getElementById("begun-as").textContent = said.name;
  say(begun);
});

// What scrolls by itself and holds nothing that one may go to can be gone to itself, and scrolled by the arrow keys.
const HELD = "a[href], button, input, select, textarea, summary, [tabindex]";
function reachable() {
  for (const one of document.querySelectorAll(".table-responsive")) {
    const scrolls = one.scrollWidth > one.clientWidth || one.scrollHeight > one.clientHeight;
    if (scrolls && !one.querySelector(HELD)) one.tabIndex = 0;
    else one.removeAttribute("tabindex");
  }
}
reachable();
window.addEventListener("resize", reachable);
document.body.addEventListener("htmx:afterSettle", reachable);
document.addEventListener("toggle", reachable, true);

// Where the menu is wider than a phone, the page that is shown is in sight.
for (const one of document.querySelectorAll(".pages [aria-current]")) {
  const menu = one.parentElement;
  menu.scrollLeft = one.offsetLeft - menu.offsetLeft - (menu.clientWidth - one.offsetWidth) / 2;
}

// What is unfolded stays so when the page renews itself.
let unfolded = [];
document.body.addEventListener("htmx:beforeSwap", () => {
  unfolded = [...document.querySelectorAll("details[open]")].map((one) => one.id);
});
document.body.addEventListener("htmx:afterSwap", () => {
  for (const id of unfolded) document.getElementById(id)?.setAttribute("open", "");
});
document.body.addEventListener("htmx:beforeRequest", (event) => {
  if (document.hidden) event.preventDefault();
});

// The search: / or Ctrl-K goes there, the arrows go through what is found, Escape leaves.
const finder = document.getElementById("finder");
const hits = document.getElementById("found");
if (finder) {
  if (!matchMedia("(max-width: 40rem)").matches) finder.placeholder = "Search ( / )";
  document.addEventListener("keydown", (event) => {
    const typing = event.target.matches("input:not([type=checkbox], [type=radio]), textarea, select");
    const slash = event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey;
    if (slash || ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k")) {
      event.preventDefault();
      finder.focus();
      finder.select();
    }
  });
  finder.form.addEventListener("keydown", (event) => {
    const places = [finder, ...hits.querySelectorAll("a")];
    const at = places.indexOf(document.activeElement);
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) {
      event.preventDefault();
      places[(at + step + places.length) % places.length].focus();
    } else if (event.key === "Escape") {
      finder.value = "";
      hits.replaceChildren();
      finder.blur();
    }
  });
  document.addEventListener("click", (event) => {
    if (!finder.form.contains(event.target)) hits.replaceChildren();
  });
}
// A view that is saved is of what is shown now: the search as one types changes the address, not the form.
document.getElementById("save-view")?.addEventListener("submit", (event) => {
  event.target.elements.query.value = location.search.slice(1);
});
