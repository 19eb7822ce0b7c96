// The strip of contents on narrow screens: whether there is more of it to the right.
function startContents() {
  const nav = document.querySelector(".top nav");
  const strip = nav.querySelector("ul");
  const look = () => {
    nav.toggleAttribute("data-more", strip.scrollLeft + strip.clientWidth < strip.scrollWidth - 1);
  };
  strip.addEventListener("scroll", look);
  addEventListener("resize", look);
  look();
}

// What a link leads to may lie in something folded.
function startFolds() {
  const unfold = () => {
    const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) return;
    for (let fold = target.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
    target.scrollIntoView({ block: target.matches("tr") ? "center" : "start" });
  };
  addEventListener("hashchange", unfold);
  for (const link of document.querySelectorAll('a[href^="#"]')) {
    link.addEventListener("click", () => location.hash === link.hash && unfold());
  }
  unfold();
}

// Plotly lies in the page packed: run what is unpacked, as the script that it is.
async function startPlotly() {
  const packed = Uint8Array.from(atob(document.getElementById("plotly").textContent), (each) => each.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const script = document.createElement("script");
  script.textContent = await new Response(stream).text();
  document.head.append(script);
}
