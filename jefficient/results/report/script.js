"use strict";
(() => {
  const PAGE = 100; // rows at a time, where there are more than MANY
  const MANY = 500;
  const table = document.querySelector("table.all");
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const heads = [...table.tHead.rows[0].cells];
  const controls = document.querySelector(".controls");
  const filter = controls.querySelector("input");
  const said = controls.querySelector("[role=status]");
  const buttons = [...controls.querySelectorAll("button")];
  const words = rows.map((row) => row.textContent.replace(/\s+/g, " ").toLowerCase());
  const size = rows.length > MANY ? PAGE : Infinity;
  const order = rows.map((_, i) => i);
  let page = 0;

  const show = () => {
    const wanted = filter.value.trim().toLowerCase();
    const found = order.filter((i) => words[i].includes(wanted));
    const pages = Math.max(1, Math.ceil(found.length / size));
    page = Math.min(Math.max(page, 0), pages - 1);
    const first = size === Infinity ? 0 : page * size;
    const shown = found.slice(first, first + size);
    body.replaceChildren(...shown.map((i) => rows[i]));
    const range = shown.length ? `Rows ${first + 1} to ${first + shown.length} of ${found.length}` : "No row";
    said.textContent = range + (wanted ? ` that ha${found.length === 1 ? "s" : "ve"} “${wanted}” (of all ${rows.length})` : "");
    for (const button of buttons) {
      button.hidden = size === Infinity;
      button.disabled = button.dataset.page === "-1" ? page === 0 : page === pages - 1;
    }
  };

  const sort = (column, descending) => {
    const numeric = heads[column].classList.contains("number");
    const values = rows.map((row) => {
      const cell = row.cells[column];
      if ("missing" in cell.dataset) return null;
      return numeric ? Number(cell.dataset.exact ?? cell.textContent.replace("inf", "Infinity")) : cell.textContent;
    });
    const compare = numeric ? (a, b) => (a < b ? -1 : a > b ? 1 : 0) : (a, b) => a.localeCompare(b, "en", { numeric: true });
    order.sort((i, j) => {
      const [a, b] = [values[i], values[j]];
      if (a === null || b === null) return (a === null) - (b === null) || i - j;
      return (descending ? -compare(a, b) : compare(a, b)) || i - j;
    });
    heads.forEach((head) => head.removeAttribute("aria-sort"));
    heads[column].setAttribute("aria-sort", descending ? "descending" : "ascending");
    page = 0;
    show();
  };

  heads.forEach((head, column) => {
    head.querySelector("button").addEventListener("click", () => sort(column, head.getAttribute("aria-sort") === "ascending"));
  });
  filter.addEventListener("input", () => { page = 0; show(); });
  buttons.forEach((button) => button.addEventListener("click", () => { page += Number(button.dataset.page); show(); }));
  controls.hidden = rows.length <= 20;
  show();
})();
