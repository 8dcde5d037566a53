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
for (const name of ["htmx:sendError", "htmx:responseError", "htmx:timeout"]) {
  document.body.addEventListener(name, () => {
    lost.hidden = false;
  });
}
document.body.addEventListener("htmx:afterSwap", () => {
  lost.hidden = true;
});

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

// A view that is saved is of what is shown now: the search as one types changes the address, not the form.
document.getElementById("save-view")?.addEventListener("submit", (event) => {
  event.target.elements.query.value = location.search.slice(1);
});
