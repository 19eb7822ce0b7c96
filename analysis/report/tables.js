// Sorting of every table with the class, by its headings; what is missing comes last in either direction.
function sortable(table) {
  for (const heading of table.tHead.rows[0].cells) {
    heading.querySelector("button")?.addEventListener("click", () => sortBy(table, heading));
  }
}

function sortBy(table, heading) {
  const numeric = heading.classList.contains("number");
  const first = numeric ? "descending" : "ascending";
  const second = numeric ? "ascending" : "descending";
  const direction = heading.getAttribute("aria-sort") === first ? second : first;
  for (const other of table.tHead.rows[0].cells) other.setAttribute("aria-sort", "none");
  heading.setAttribute("aria-sort", direction);
  const sign = direction === "ascending" ? 1 : -1;
  const key = (row) => {
    const cell = row.cells[heading.cellIndex];
    if (!numeric) return cell.textContent.trim();
    return cell?.dataset.sort ? Number(cell.dataset.sort) : null;
  };
  const compare = (a, b) => {
    if (a === null || b === null) return (a === null) - (b === null);
    return sign * (numeric ? a - b : a.localeCompare(b, "en"));
  };
  const rows = [...table.tBodies[0].rows].map((row) => [key(row), row]);
  rows.sort(([a], [b]) => compare(a, b));
  table.tBodies[0].append(...rows.map(([, row]) => row));
}

// The leaderboards of one benchmark: which labels, which proxies, and the one that is looked at.
function startBoards(section, onKind, onPick) {
  const boards = [...section.querySelectorAll(".board")];
  if (!boards.length) return;
  const name = section.querySelector(".by-name");
  const family = section.querySelector(".by-family");
  const shown = section.querySelector(".shown");
  const kinds = [...section.querySelectorAll(`[name="${section.dataset.benchmark}-against"]`)];
  const kind = () => kinds.find((each) => each.checked).value;

  const filter = () => {
    const wanted = name.value.trim().toLowerCase();
    for (const row of section.querySelectorAll(".leaderboard tbody tr")) {
      const fits = row.dataset.proxy.toLowerCase().includes(wanted);
      row.hidden = !fits || (family.value !== "" && row.dataset.family !== family.value);
    }
    const rows = [...boards.find((board) => !board.hidden).querySelectorAll("tbody tr")];
    shown.textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length} proxies`;
  };
  const choose = () => {
    for (const board of boards) board.hidden = board.dataset.against !== kind();
    filter();
    onKind(kind());
  };
  name.addEventListener("input", filter);
  family.addEventListener("change", filter);
  for (const each of kinds) each.addEventListener("change", choose);
  for (const board of boards) {
    board.addEventListener("click", (event) => {
      const row = event.target.closest("tbody tr");
      if (!event.target.closest("a") && row?.querySelector(".pick")) onPick(row.dataset.proxy);
    });
  }
  choose();
}

function markPicked(section, proxy) {
  for (const row of section.querySelectorAll(".leaderboard tbody tr")) {
    const picked = row.dataset.proxy === proxy;
    row.classList.toggle("picked", picked);
    row.querySelector(".pick")?.setAttribute("aria-pressed", String(picked));
  }
}

// What a leaderboard says of a proxy, by the keys of its columns.
function lineOf(section, kind, proxy) {
  const board = section.querySelector(`.board[data-against="${CSS.escape(kind)}"]`);
  const row = board && [...board.querySelectorAll("tbody tr")].find((each) => each.dataset.proxy === proxy);
  if (!row) return null;
  const headings = [...board.querySelector("thead tr").cells];
  return Object.fromEntries(headings.map((heading, position) => [heading.dataset.key, row.cells[position].textContent.trim()]));
}
