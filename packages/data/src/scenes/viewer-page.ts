/** Style and behaviour of the samples' page. */

export const style = `
:root { color-scheme: light dark; font: 14px/1.4 system-ui, sans-serif; --line: #8884; --spatial: #c2620a; --other: #2b6cb0; }
body { margin: 0; padding: 1.5rem; }
h1 { font-size: 1.4rem; margin: 0 0 .3rem; }
header p { max-width: 60rem; margin: .3rem 0 1rem; }
header .families { max-width: none; display: flex; flex-wrap: wrap; gap: .4rem; }
button { font: inherit; border: 1px solid var(--line); border-radius: 4px; background: none; color: inherit; cursor: pointer; padding: .1rem .5rem; }
button.chosen { background: color-mix(in srgb, currentColor 20%, transparent); }
.spatial { color: var(--spatial); } .other { color: var(--other); }
main { display: grid; grid-template-columns: repeat(auto-fill, minmax(250px, 1fr)); gap: 1rem; }
article { border: 1px solid var(--line); border-radius: 8px; overflow: hidden; padding-bottom: .6rem; }
.picture { position: relative; } .picture img { display: block; width: 100%; image-rendering: pixelated; }
.picture i { position: absolute; display: none; outline: 2px solid #fff; box-shadow: 0 0 0 4px #000; }
h2 { font-size: .75rem; font-weight: normal; opacity: .6; margin: .5rem .8rem; }
dl { margin: 0 .8rem; } dt { margin-top: .4rem; } dd { margin: 0; font-weight: 600; overflow-wrap: anywhere; }
dt b { font-weight: 600; font-size: .75rem; } [data-box] { cursor: crosshair; }
`;

/** The page's own script: filters by family, and draws the box that the pointer is on. */
export const script = `
for (const button of document.querySelectorAll("button")) button.onclick = () => {
  const { family } = button.dataset;
  for (const other of document.querySelectorAll("button")) other.classList.toggle("chosen", other === button);
  for (const card of document.querySelectorAll("article")) card.hidden = family !== "" && !card.dataset.families.split(" ").includes(family);
};
for (const line of document.querySelectorAll("[data-box]")) {
  const frame = line.closest("article").querySelector(".picture i");
  const [x1, y1, x2, y2] = line.dataset.box.split(" ").map((share) => 100 * share);
  line.onmouseenter = line.onfocus = () => Object.assign(frame.style, { display: "block", left: x1 + "%", top: y1 + "%", width: x2 - x1 + "%", height: y2 - y1 + "%" });
  line.onmouseleave = line.onblur = () => (frame.style.display = "none");
}
`;
