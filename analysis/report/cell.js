// A cell as its official string and as a graph. `operations`: six digits in the order of EDGES.
const OPERATIONS = ["none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"];
const SHORT = ["none", "skip", "conv 1×1", "conv 3×3", "pool 3×3"];
const EDGES = [[0, 1], [0, 2], [1, 2], [0, 3], [1, 3], [2, 3]];
const NODES = [[26, 118], [118, 62], [222, 174], [314, 118]];
const RADIUS = 13;
const VIEW = [340, 212];
const SVG = "http://www.w3.org/2000/svg";

function officialString(operations) {
  const parts = [[], [], []];
  EDGES.forEach(([source, target], edge) => parts[target - 1].push(`${OPERATIONS[operations[edge]]}~${source}`));
  return parts.map((part) => `|${part.join("|")}|`).join("+");
}

function element(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

// Straight lines, but from the first node to the last over the top of the others.
function route(source, target) {
  const [from, to] = [NODES[source], NODES[target]];
  if (source === 0 && target === 3) {
    const middle = [VIEW[0] / 2, -68];
    return { path: `M${from} Q${middle} ${to}`, label: [middle[0], (from[1] + middle[1]) / 2] };
  }
  const at = source === 1 && target === 2 ? 0.5 : source === 0 ? 0.48 : 0.52;
  return { path: `M${from} L${to}`, label: [from[0] + at * (to[0] - from[0]), from[1] + at * (to[1] - from[1])] };
}

function drawCell(operations, index) {
  const drawing = element("svg", { viewBox: `0 0 ${VIEW.join(" ")}`, role: "img", "data-cell": index });
  const said = EDGES.map(([source, target], edge) => `${source} to ${target} ${SHORT[operations[edge]]}`);
  drawing.setAttribute("aria-label", `Graph of cell ${index}: ${said.join(", ")}`);
  const lines = element("g", {});
  const labels = element("g", {});
  EDGES.forEach(([source, target], edge) => {
    const { path, label } = route(source, target);
    const kind = `edge ${OPERATIONS[operations[edge]]}`;
    lines.append(element("g", { class: kind, "data-edge": edge }));
    lines.lastChild.append(element("path", { d: path }));
    labels.append(element("g", { class: kind }));
    const name = SHORT[operations[edge]];
    const width = 6.6 * name.length + 6;
    labels.lastChild.append(
      element("rect", { x: label[0] - width / 2, y: label[1] - 8, width, height: 16 }),
      element("text", { x: label[0], y: label[1] + 4 }, name),
    );
  });
  const nodes = element("g", {});
  NODES.forEach(([x, y], node) => {
    const group = element("g", { class: "node" });
    group.append(element("circle", { cx: x, cy: y, r: RADIUS }), element("text", { x, y: y + 4 }, String(node)));
    nodes.append(group);
  });
  drawing.append(lines, nodes, labels);
  return drawing;
}
