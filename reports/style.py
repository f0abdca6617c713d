"""How a page looks, in light, in dark and on paper. Plots take their colours from it."""

# Colours of plots that are files of their own, and what they are in a page.
INK, SOFT, FAINT, AXIS, PAPER = "#1f2933", "#374151", "#d5dae1", "#9aa5b1", "#ffffff"
PAGE_COLOURS = {INK: "--ink", SOFT: "--soft", FAINT: "--line", AXIS: "--soft", PAPER: "--page"}
STYLE = """
:root { color-scheme: light dark; --page: #fff; --ink: #1f2933; --soft: #52606d; --line:
  #d9dee5; --wash: #f5f7fa; --estimate: #0b5c92; --band: #0b5c9226; --good: #0a7253; --bad:
  #b3261e; --unsure: #8a5a00; --worse: #b3261e1c; }
@media (prefers-color-scheme: dark) {
    :root { --page: #14181d; --ink: #e6eaef; --soft: #a3b0bd; --line: #323b45; --wash: #1c232a;
    --estimate: #6db8e8; --band: #6db8e833; --good: #54c79f; --bad: #ff8a80; --unsure: #f0b95b;
    --worse: #ff8a8026; }
}
* { box-sizing: border-box; }
.brand, h1, h2, .headline { letter-spacing: -.01em; font-family: Charter, "Bitstream Charter",
  "Iowan Old Style", Georgia, Cambria, "Times New Roman", serif; }
.brand { max-width: none; margin: 0; font-size: 1.7rem; border-top: 4px solid var(--ink);
  border-bottom: 1px solid var(--line);
  font-weight: 700; line-height: 1.2;
  padding: .8rem max(1.25rem, calc((100% - 66rem) / 2 + 1.25rem)); }
.brand span { margin-left: .5rem; color: var(--soft); font-size: 1rem; font-style: italic;
  font-weight: 400; letter-spacing: 0; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body { margin: 0; color: var(--ink); background: var(--page); font: 16px/1.55 system-ui,
  -apple-system, "Segoe UI", Roboto, Arial, sans-serif; overflow-wrap:
  break-word; }
header, main, nav { max-width: 66rem; margin: 0 auto; padding: 0 1.25rem; }
header { padding-top: 1.75rem; }
main { padding-bottom: 3rem; }
nav ul { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; list-style: none; margin: 1.25rem 0 0;
  padding: 0; font-size: .9rem; }
a { color: var(--estimate); }
h1 { font-size: 2rem; line-height: 1.2; margin: 0 0 1rem; text-wrap: balance; }
h2 { font-size: 1.35rem; line-height: 1.3; margin: 2.25rem 0 .5rem; padding-top: 1rem; border-top:
  2px solid var(--ink); }
h3 { margin: 0 0 .3rem; }
h3, caption, summary { font-size: 1rem; font-weight: 650; text-align: left; }
p, ul.points { max-width: 46rem; margin: 0 0 .6rem; }
ul.points { padding-left: 1.2rem; }
ul.points li { margin-bottom: .3rem; }
.decision { border: 1px solid var(--line); border-left: .5rem solid var(--unsure);
  border-radius: 4px; background: var(--wash); padding: 1rem 1.25rem .6rem; margin: 0 0 1.25rem;
  }
.decision.ship { border-left-color: var(--good); }
.decision.stop, .decision.alarm { border-left-color: var(--bad); }
.headline { font-size: 1.5rem; font-weight: 700; line-height: 1.2; margin-bottom: .4rem; }
.note, figcaption { color: var(--soft); font-size: .88rem; max-width: 46rem; }
.note, figcaption { margin: .3rem 0 1rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1.25rem; margin: 0;
  font-size: .92rem; }
dt { color: var(--soft); }
dd { margin: 0; min-width: 0; white-space: pre-line; }
.scroll { overflow-x: auto; max-width: 100%; margin: 1rem 0 .4rem; }
a:focus-visible, .scroll:focus-visible, summary:focus-visible { outline: 2px solid var(--estimate);
  outline-offset: 2px; }
table { border-collapse: separate; border-spacing: 0; font-size: .87rem; line-height: 1.35;
  font-variant-numeric: tabular-nums; }
caption { padding-bottom: .5rem; }
th, td { padding: .34rem 1rem .34rem 0; text-align: right; vertical-align: top; white-space: nowrap;
  border-bottom: 1px solid var(--line); }
thead th { vertical-align: bottom; font-weight: 600; border-bottom: 1.5px solid var(--ink);
  white-space: normal; }
th:first-child { text-align: left; min-width: 7.5rem; max-width: 18rem; white-space: normal;
  position: sticky; left: 0; background: var(--page); }
tbody th { font-weight: 400; }
tbody th.group { padding-top: .8rem; font-weight: 600; color: var(--soft); max-width: none; }
tbody th.within { padding-left: 1.1rem; }
tbody tr:hover > * { background: var(--wash); }
.words { text-align: left; }
.whole, .interval { white-space: nowrap; }
.interval { display: block; color: var(--soft); font-size: .92em; }
.state { font-weight: 650; }
.state.safe { color: var(--good); }
.state.violated { color: var(--bad); }
.state.undecided { color: var(--unsure); }
.pictured td, .pictured tbody th { vertical-align: middle; }
th.picture { text-align: center; color: var(--soft); font-weight: 400; font-size: .82rem; }
td.picture { padding-right: 0; padding-left: .5rem; width: 17rem; min-width: 13rem; }
.plots { display: grid; gap: 1rem 1.25rem; margin: 1.25rem 0 .5rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr)); }
.plots.broad { grid-template-columns: repeat(auto-fit, minmax(min(100%, 27rem), 1fr)); }
.plots figure { margin: 0; min-width: 0; }
h3 .said { color: var(--soft); font-weight: 400; font-size: .9rem; margin-left: .75rem; }
.decision ul.points { margin-top: .2rem; }
details { margin: 1rem 0 2rem; border: 1px solid var(--line); border-radius: 4px; padding: .5rem
  .9rem; }
summary { cursor: pointer; }
details .scroll { margin-top: .75rem; }
figure { margin: 1.75rem 0; }
figure h3 { max-width: 46rem; }
figure .scroll { margin: 0 0 .4rem; }
svg { display: block; width: 100%; height: auto;
  font: 12px system-ui, -apple-system, "Segoe UI", Roboto, Arial, sans-serif; fill: var(--ink); }
svg .grid { stroke: var(--line); stroke-width: 1; }
svg .axis { stroke: var(--soft); stroke-width: 1; }
svg .zero { stroke: var(--ink); stroke-width: 1.3; }
svg .worth { stroke: var(--good); stroke-width: 1.4; stroke-dasharray: 6 4; }
svg .margin { stroke: var(--bad); stroke-width: 1.4; stroke-dasharray: 5 4; }
svg .alarm-text { fill: var(--bad); }
svg .soft { fill: var(--soft); }
svg .alarm-text, svg .soft { paint-order: stroke; stroke: var(--page);
  stroke-width: 3px; }
svg .worse { fill: var(--worse); }
svg .band { fill: var(--band); }
svg .band-edge { fill: none; stroke: var(--estimate); stroke-width: 1; stroke-opacity: .6; }
svg .estimate, svg .alarm-line { fill: none; stroke: var(--estimate); stroke-width: 2; }
svg .alarm-line { stroke: var(--bad); }
svg .estimate-end { fill: var(--estimate); }
svg .raw { stroke: var(--soft); stroke-width: 1.3; }
svg .raw-point { fill: var(--page); stroke: var(--soft); stroke-width: 1.5; }
svg .pooled { stroke: var(--estimate); stroke-width: 3.5; }
svg .pooled-point { fill: var(--estimate); }
svg .found { font-weight: 700; }
svg .strip { stroke-width: 3.5; stroke: var(--unsure); }
svg .strip.safe { stroke: var(--good); }
svg .strip.violated { stroke: var(--bad); }
svg .dot { fill: var(--unsure); }
svg .dot.safe { fill: var(--good); }
svg .dot.violated { fill: var(--bad); }
@media (max-width: 40rem) {
  header { padding-top: 1.25rem; }
  header, main, nav { padding-left: .9rem; padding-right: .9rem; }
  h1 { font-size: 1.4rem; }
  dl { grid-template-columns: 1fr; }
  dd { margin-bottom: .4rem; }
}
@media print {
  body { font-size: 10.5pt; }
  nav { display: none; }
  header, main { max-width: none; padding: 0; }
  .scroll { overflow: visible; }
  .sized { min-width: 0 !important; }
  table { font-size: 7.5pt; }
  h2 { break-after: avoid; }
  figure, tr, .decision { break-inside: avoid; }
  details::details-content { content-visibility: visible; height: auto; }
}
"""
