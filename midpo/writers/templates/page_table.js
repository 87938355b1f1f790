// The table: a click on a head sorts, a word in the field leaves the rows that hold it.
(() => {
  const table = document.getElementById("specs");
  if (!table) return;
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const cell = (row, at) => row.cells[at].textContent.trim();

  const sort = (at) => {
    const head = heads[at];
    const rising = head.getAttribute("aria-sort") !== "ascending";
    const numbers = head.dataset.kind === "number";
    const compare = (a, b) => {
      const [left, right] = [cell(a, at), cell(b, at)];
      // What is empty stays at the end, whichever way the rest is sorted.
      if (!left || !right) return (left ? 0 : 1) - (right ? 0 : 1);
      const order = numbers ? Number(left) - Number(right) : left.localeCompare(right, "en");
      return rising ? order : -order;
    };
    body.append(...[...body.rows].sort(compare));
    for (const other of heads) other.setAttribute("aria-sort", "none");
    head.setAttribute("aria-sort", rising ? "ascending" : "descending");
  };
  heads.forEach((head, at) => head.querySelector("button").addEventListener("click", () => sort(at)));

  const field = document.getElementById("search");
  const found = document.getElementById("found");
  field.addEventListener("input", () => {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of body.rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
      shown += row.hidden ? 0 : 1;
    }
    found.textContent = `${shown} of ${body.rows.length} rows`;
  });
})();
