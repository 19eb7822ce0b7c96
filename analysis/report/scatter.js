// Score against label of one benchmark: one dot a cell, and one cell that is looked at.
const MANY = 6000; // more dots than these are drawn by WebGL

// A circle of 8 pixels from four Bézier curves: Plotly's own circle of pixels is wrong on a logarithmic axis.
const RING = "M-8,0C-8,-4.4,-4.4,-8,0,-8C4.4,-8,8,-4.4,8,0C8,4.4,4.4,8,0,8C-4.4,8,-8,4.4,-8,0Z";

function ranks(values) {
  const order = values.map((_, position) => position).sort((a, b) => values[a] - values[b]);
  const found = new Array(values.length);
  for (let start = 0, end; start < order.length; start = end) {
    end = start + 1;
    while (end < order.length && values[order[end]] === values[order[start]]) end += 1;
    for (let position = start; position < end; position += 1) found[order[position]] = (start + end + 1) / 2;
  }
  return found;
}

const said = (value, digits) => (value === null || value === undefined ? "–" : value.toFixed(digits));

class Scatter {
  constructor(section, data, onProxy) {
    this.section = section;
    this.data = data;
    this.root = section.querySelector(".scatter");
    this.root.hidden = false;
    this.plot = this.root.querySelector(".plot");
    this.select = this.root.querySelector(".proxy");
    this.index = this.root.querySelector(".index");
    this.message = this.root.querySelector(".message");
    this.kind = Object.keys(data.labels)[0];
    this.current = null; // position in data.cells
    this.onProxy = onProxy;
    this.select.addEventListener("change", () => this.show(this.select.value));
    for (const radio of this.root.querySelectorAll(".choice input")) radio.addEventListener("change", () => this.draw());
    for (const button of this.root.querySelectorAll(".step")) {
      button.addEventListener("click", () => this.step(Number(button.dataset.step)));
    }
    this.index.addEventListener("change", () => this.find(this.index.value));
    document.addEventListener(THEME, () => this.draw());
  }

  get proxy() {
    return this.select.value;
  }

  get inRanks() {
    return this.root.querySelector(".choice input:checked").value === "ranks";
  }

  show(proxy) {
    this.select.value = proxy;
    this.onProxy(proxy);
    this.draw();
  }

  judgeBy(kind) {
    if (kind in this.data.labels) this.kind = kind;
    this.draw();
  }

  // Positions of the cells that have a score and a label, and where they lie.
  points() {
    const scores = this.data.proxies[this.proxy].scores;
    const labels = this.data.labels[this.kind].mean;
    const at = this.data.cells.map((_, position) => position);
    const positions = at.filter((each) => scores[each] !== null && labels[each] !== null);
    const values = { x: positions.map((each) => scores[each]), y: positions.map((each) => labels[each]) };
    const rank = { x: ranks(values.x), y: ranks(values.y) };
    return { positions, values, rank, shown: this.inRanks ? rank : values };
  }

  draw() {
    if (!this.proxy) return;
    const { scale, range, beyond } = this.data.proxies[this.proxy];
    const { positions, shown } = (this.now = this.points());
    const quantity = this.data.labels[this.kind].quantity;
    const common = { color: colour("ink"), gridcolor: colour("line"), zeroline: false, linecolor: colour("quiet"), automargin: true };
    const title = (text) => ({ text, standoff: 10 });
    const x = this.inRanks
      ? { ...common, title: title(`rank of the score of ${this.proxy}`) }
      : { ...common, title: title(`score of ${this.proxy}${scale === "log" ? ", logarithmic" : ""}`), ...axis(scale, range) };
    const y = { ...common, title: title(this.inRanks ? `rank of the ${quantity.split(",")[0]}` : quantity) };
    const dots = {
      type: positions.length > MANY ? "scattergl" : "scatter",
      mode: "markers",
      x: shown.x,
      y: shown.y,
      customdata: positions.map((each) => this.data.cells[each]),
      hovertemplate: "cell %{customdata}<extra></extra>",
      marker: { size: positions.length > 1000 ? 4 : 6, color: colour("dot") },
    };
    const layout = {
      shapes: this.ring(),
      xaxis: x,
      yaxis: y,
      showlegend: false,
      hovermode: "closest",
      dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom",
      margin: { l: 50, r: 12, t: 10, b: 44 },
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: colour("ink") },
      hoverlabel: { bgcolor: colour("raised"), bordercolor: colour("quiet"), font: { color: colour("ink") } },
    };
    const first = !this.plot.data;
    Plotly.react(this.plot, [dots], layout, { displayModeBar: false, responsive: true });
    if (first) this.plot.on("plotly_hover", ({ points }) => this.inspect(this.positionOf(points[0].customdata)));
    if (first) this.plot.on("plotly_click", ({ points }) => this.inspect(this.positionOf(points[0].customdata)));
    this.describe(positions.length, this.inRanks ? 0 : beyond);
    if (this.current === null && positions.length) this.current = this.byScore().at(-1);
    this.inspect(this.current);
  }

  describe(count, beyond) {
    const line = lineOf(this.section, this.kind, this.proxy);
    const found = line ? `Spearman ${line.spearman} (${line.interval.replace(/\s+/g, " ")}), Kendall ${line.kendall}; ` : "";
    const hidden = beyond ? `; ${beyond} beyond the axis` : "";
    const text = `${this.proxy} against ${this.kind}: ${found}${count} cells${hidden}.`;
    this.root.querySelector(".found").textContent = text;
    this.plot.setAttribute("aria-label", `Scatter plot. ${text}`);
  }

  // Positions of the dots, the lowest score first.
  byScore() {
    const { positions, values } = this.now;
    return positions.map((each, dot) => [values.x[dot], each]).sort((a, b) => a[0] - b[0] || a[1] - b[1]).map(([, each]) => each);
  }

  step(by) {
    const order = this.byScore();
    const next = order.indexOf(this.current) + by;
    if (next in order) this.inspect(order[next]);
    else this.message.textContent = by > 0 ? "No score is higher." : "No score is lower.";
  }

  positionOf(cell) {
    return this.data.cells.indexOf(Number(cell));
  }

  find(cell) {
    const position = this.positionOf(cell || NaN);
    if (position >= 0) this.inspect(position);
    else this.message.textContent = `Cell ${cell} is none of the ${this.data.cells.length} labelled ones.`;
  }

  // A shape and no dot: it moves without drawing the others anew.
  ring() {
    const dot = this.now.positions.indexOf(this.current);
    if (dot < 0) return [];
    const [xanchor, yanchor] = [this.now.shown.x[dot], this.now.shown.y[dot]];
    const size = { xsizemode: "pixel", ysizemode: "pixel" };
    return [{ type: "path", path: RING, xanchor, yanchor, ...size, line: { width: 2.5, color: colour("mark") } }];
  }

  inspect(position) {
    if (position === null || position < 0) return;
    this.current = position;
    const cell = this.data.cells[position];
    const operations = this.data.operations[position];
    this.index.value = cell;
    this.message.textContent = "";
    Plotly.relayout(this.plot, { shapes: this.ring() });
    this.root.querySelector(".drawing").replaceChildren(drawCell(operations, cell));
    this.root.querySelector(".facts").replaceChildren(this.facts(position, operations));
  }

  facts(position, operations) {
    const list = document.createElement("dl");
    const add = (term, text, detail) => {
      const [dt, dd] = [document.createElement("dt"), document.createElement("dd")];
      dt.textContent = term;
      dd.textContent = text;
      if (detail) dd.append(" ", Object.assign(document.createElement("small"), { textContent: detail }));
      list.append(dt, dd);
      return dd;
    };
    const string = add("cell", "");
    string.append(Object.assign(document.createElement("code"), { textContent: officialString(operations) }));
    const score = this.data.proxies[this.proxy].scores[position];
    const dot = this.now.positions.indexOf(position);
    const place = dot < 0 ? "" : `rank ${this.now.values.x.length + 1 - this.now.rank.x[dot]} of ${this.now.values.x.length} from the top`;
    add("score", score === null ? "none" : String(score), place);
    for (const [kind, { mean, seeds }] of Object.entries(this.data.labels)) {
      const each = Object.values(seeds).map((column) => said(column[position], 2)).join(", ");
      add(kind, said(mean[position], 2), `seeds ${each}`);
    }
    return list;
  }
}

// Of a logarithmic axis Plotly wants exponents; a little room on either side.
function axis(scale, [low, high]) {
  const [from, to] = scale === "log" ? [Math.log10(low), Math.log10(high)] : [low, high];
  const edge = 0.04 * (to - from);
  return { type: scale, range: [from - edge, to + edge], exponentformat: "power" };
}
