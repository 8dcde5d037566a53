// Tables that are shown whole are sorted by their columns' heads: once one way, twice the other, then as they were.
// What is shown page by page is sorted by the server or not at all: the page would be sorted, and not what it is of.
const FEW = 3; // rows below which there is nothing to sort
const chosen = new Map(); // what is sorted how, by the table's place, for when the page renews itself
const words = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

// Of an amount the currency first, and then how much: of two currencies neither is more.
function worth(cell) {
  const at = cell.querySelector("time[datetime]")?.dateTime;
  if (at) return [0, "", Date.parse(at)];
  const text = cell.textContent.trim().replace(/\s+/g, " ");
  if (["", "–", "null"].includes(text)) return [1, "", 0];
  if (!cell.classList.contains("number")) return [0, text, 0];
  const said = /[-−]?\d[\d,]*(\.\d+)?/.exec(text);
  if (!said) return [0, text, 0];
  const number = Number(said[0].replace("−", "-").replaceAll(",", ""));
  const minus = /[-−]/.test(text.slice(0, said.index)) && number > 0 ? -1 : 1;
  return [0, (text.slice(0, said.index) + text.slice(said.index + said[0].length)).replace(/[-−\s]/g, ""), minus * number];
}

function compare(one, other, way) {
  if (one[0] !== other[0]) return one[0] - other[0]; // what says nothing comes last, either way
  const beside = words.compare(one[1], other[1]);
  if (beside && (one[2] || other[2])) return beside;
  return (beside || one[2] - other[2]) * way;
}

function sort(table, column, way) {
  const body = table.tBodies[0];
  const rows = [...body.rows].sort((one, other) => one.dataset.place - other.dataset.place);
  if (way) {
    const known = new Map(rows.map((row) => [row, worth(row.cells[column])]));
    rows.sort((one, other) => compare(known.get(one), known.get(other), way));
  }
  body.append(...rows);
  [...table.tHead.rows[0].cells].forEach((head, at) => {
    if (at === column && way) head.setAttribute("aria-sort", way > 0 ? "ascending" : "descending");
    else head.removeAttribute("aria-sort");
  });
}

function sortable(table) {
  const rows = [...(table.tBodies[0]?.rows ?? [])], heads = table.tHead?.rows;
  if (rows.length < FEW || heads?.length !== 1 || table.tBodies.length !== 1 || "sorted" in table.dataset) return false;
  if (rows.some((row) => row.cells.length !== heads[0].cells.length)) return false;
  if (["after", "page"].some((name) => new URLSearchParams(location.search).has(name))) return false;
  return !(table.closest("section, .card") ?? document).querySelector('[rel="next"], [rel="prev"]');
}

function offer() {
  [...document.querySelectorAll(".page-body table.card-table")].forEach((table, number) => {
    if (!sortable(table)) return;
    table.dataset.sorted = "";
    [...table.tBodies[0].rows].forEach((row, place) => (row.dataset.place = place));
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      if (!head.textContent.trim() || head.querySelector("a, button, input, .visually-hidden")) return;
      const button = document.createElement("button");
      button.type = "button";
      button.className = "sorts";
      button.append(...head.childNodes);
      head.append(button);
      const first = head.classList.contains("number") ? -1 : 1;
      button.addEventListener("click", () => {
        const before = chosen.get(number);
        const way = before?.column !== column ? first : before.way === first ? -first : 0;
        chosen.set(number, { column, way });
        sort(table, column, way);
      });
    });
    const before = chosen.get(number);
    if (before?.way) sort(table, before.column, before.way);
  });
}
offer();
document.body.addEventListener("htmx:afterSettle", offer);
