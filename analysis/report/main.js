startTheme();
startContents();
startFolds();
const DATA = JSON.parse(document.getElementById("data").textContent);
for (const table of document.querySelectorAll("table.sortable")) sortable(table);
if (Object.keys(DATA).length) await startPlotly();
for (const section of document.querySelectorAll(".benchmark")) {
  const data = DATA[section.dataset.benchmark];
  const scatter = data && new Scatter(section, data, (proxy) => markPicked(section, proxy));
  const pick = (proxy) => {
    scatter?.show(proxy);
    scatter?.plot.scrollIntoView({ block: "nearest" });
  };
  const first = [".own", "tr"].map((each) => section.querySelector(`.leaderboard ${each}:has(.pick)`)).find(Boolean);
  scatter?.show(first?.dataset.proxy ?? scatter.proxy);
  startBoards(section, (kind) => scatter?.judgeBy(kind), pick);
}
document.documentElement.dataset.ready = "";
