// The review queue without a mouse: j and k go through the rows, x picks, Enter accepts; one box picks all.
const boxes = [...document.querySelectorAll('#review tbody input[type="checkbox"]')];
const every = document.getElementById("every");

every?.addEventListener("change", () => {
  for (const box of boxes) box.checked = every.checked;
});

document.addEventListener("keydown", (event) => {
  const typing = event.target.matches('select, textarea, input:not([type="checkbox"])');
  if (typing || event.ctrlKey || event.metaKey || event.altKey || !boxes.length) return;
  const at = boxes.indexOf(document.activeElement);
  const steps = { j: 1, k: -1 };
  if (event.key in steps) {
    event.preventDefault();
    boxes[Math.max(0, Math.min(boxes.length - 1, at + steps[event.key]))].focus();
  } else if (at >= 0 && event.key === "x") {
    boxes[at].checked = !boxes[at].checked;
  } else if (at >= 0 && event.key === "Enter") {
    event.preventDefault();
    boxes[at].closest("tr").querySelector('button[name="one"]').click();
  }
});
