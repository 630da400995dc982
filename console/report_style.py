"""How a report looks: light and dark, on a screen, a phone and on paper."""

from __future__ import annotations

STYLE = """
:root {
  color-scheme: light dark;
  --paper: #f6f7f9; --card: #ffffff; --ink: #1c2430; --soft: #55606e; --line: #dde2e8;
  --now: #0b7285; --before: #aab4bf; --good: #2b8a3e; --late: #e67700; --bad: #c92a2a; --cell: #eceff3;
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --paper: #12161c; --card: #1b212a; --ink: #e8ecf1; --soft: #a4afbc; --line: #323b47;
    --now: #3bb8cf; --before: #66717e; --good: #51cf66; --late: #ffa94d; --bad: #ff7b7b; --cell: #262e39;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, "Segoe UI", "Noto Sans", "Noto Sans Hebrew", Arial, sans-serif;
}
main { max-inline-size: 70rem; margin-inline: auto; padding: 1.5rem 1rem 3rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin-block: 0 .3rem; }
h2 {
  font-size: 1.35rem; margin-block: 2.5rem .8rem; padding-block-end: .3rem; border-block-end: 2px solid var(--line);
}
h3 { font-size: 1.05rem; margin-block: 0 .4rem; }
p { margin-block: .3rem; }
.soft, .small { color: var(--soft); }
.small { font-size: .82rem; line-height: 1.4; }
.grid { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(min(12.5rem, 100%), 1fr)); }
.wide {
  grid-template-columns: repeat(auto-fit, minmax(min(24rem, 100%), 1fr)); margin-block-start: 1rem; align-items: start;
}
.card, figure {
  background: var(--card); border: 1px solid var(--line); border-radius: .6rem;
  padding: 1rem; margin: 0; min-inline-size: 0;
}
.card { display: flex; flex-direction: column; }
.card .definition { margin-block-start: auto; padding-block-start: .6rem; }
.block { margin-block-start: 1rem; }
.stack { display: grid; gap: 1rem; min-inline-size: 0; }
.value { font-size: 1.9rem; font-weight: 650; line-height: 1.2; margin: 0; font-variant-numeric: tabular-nums; }
.value.few { font-size: 1.15rem; font-weight: 500; color: var(--soft); padding-block: .4rem; }
.change { display: inline-block; font-weight: 600; color: var(--soft); white-space: nowrap; }
.change.better { color: var(--good); }
.change.worse { color: var(--bad); }
ol { padding-inline-start: 1.3rem; margin-block: .3rem; }
li { margin-block-end: .5rem; }
figcaption { font-weight: 600; margin-block-end: .2rem; }
figure .small { margin-block: 0 .6rem; }
svg {
  display: block; inline-size: 100%; max-inline-size: 36rem; block-size: auto;
  overflow: visible; margin-inline: auto;
}
svg text { font-size: 13px; fill: var(--ink); paint-order: stroke; stroke: var(--card); stroke-width: 3px; }
svg .v { font-weight: 600; font-variant-numeric: tabular-nums; }
svg .small { font-size: 11px; fill: var(--soft); }
.now { fill: var(--now); background: var(--now); }
.before { fill: var(--before); background: var(--before); }
.good { fill: var(--good); background: var(--good); }
.late { fill: var(--late); background: var(--late); }
.bad { fill: var(--bad); background: var(--bad); }
.hot { fill: var(--now); }
.cell { fill: var(--cell); }
.axis { stroke: var(--soft); }
.mark { stroke: var(--line); }
.range { stroke: var(--now); stroke-width: 4; stroke-opacity: .45; }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; font-size: .85rem; color: var(--soft); }
.key { display: inline-block; inline-size: .8rem; block-size: .8rem; border-radius: .15rem; margin-inline-end: .4rem; }
details { margin-block-start: .7rem; font-size: .88rem; }
summary { cursor: pointer; color: var(--soft); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; inline-size: 100%; font-size: .88rem; font-variant-numeric: tabular-nums; }
th, td { text-align: start; padding: .35rem .6rem; border-block-end: 1px solid var(--line); vertical-align: top; }
thead th { color: var(--soft); font-weight: 600; white-space: nowrap; }
tbody th { font-weight: 500; }
tbody th { min-inline-size: 8rem; }
bdi.id { overflow-wrap: break-word; }
.ids bdi { display: block; font: .75rem/1.5 ui-monospace, monospace; white-space: nowrap; }
footer { margin-block-start: 3rem; }
@media screen and (max-width: 34rem) {
  /* Charts shrink with the page, and what is written in them must not. */
  svg text { font-size: 16px; }
  svg .small { font-size: 14px; }
}
@media print {
  @page { margin: 14mm; }
  :root { --paper: #fff; }
  body { font-size: 10pt; -webkit-print-color-adjust: exact; print-color-adjust: exact; }
  main { padding: 0; max-inline-size: none; }
  .card, figure, tr, li { break-inside: avoid; }
  h2, h3 { break-after: avoid; }
  .grid { grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); }
  .wide { grid-template-columns: repeat(2, 1fr); }
  figure details { display: none; }
  .scroll { overflow: visible; }
  table { font-size: .78rem; }
  .ids bdi { font-size: 5.5pt; }
}
"""
