startTheme();
const DATA = JSON.parse(document.getElementById("data").textContent);
for (const table of document.querySelectorAll("table.sortable")) sortable(table);
for (const section of document.querySelectorAll(".benchmark")) {
  const data = DATA[section.dataset.benchmark];
  const scatter = data && new Scatter(section, data, (proxy) => markPicked(section, proxy));
  const pick = (proxy) => {
    scatter?.show(proxy);
    scatter?.plot.scrollIntoView({ block: "nearest" });
  };
  const best = section.querySelector(".leaderboard tr:has(.pick)")?.dataset.proxy;
  scatter?.show(best ?? scatter.proxy);
  startBoards(section, (kind) => scatter?.judgeBy(kind), pick);
}
