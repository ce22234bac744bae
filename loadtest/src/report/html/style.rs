//! The look of the page: a nautical chart, by day and by night; readable at 360 pixels and on paper.

pub(super) const STYLE: &str = "
:root{color-scheme:light dark;--paper:#f4f1e8;--sheet:#fffdf6;--ink:#16262e;--soft:#52646c;--rule:#c9cfc8;--sea:#dbe8ee;
--ok:#1d6b45;--bad:#a3271c;--c0:#0f5b7a;--c1:#b4481e;--c2:#2f7d4f;--c3:#7a3b8f;--c4:#8a6d00;--c5:#3451b2;--c6:#a1305f;--c7:#4c5b63}
@media(prefers-color-scheme:dark){:root{--paper:#0d171c;--sheet:#13222a;--ink:#e6ecec;--soft:#9fb0b6;--rule:#2d4049;--sea:#1b323d;
--ok:#6fd39f;--bad:#ff9484;--c0:#6cc3e6;--c1:#f0a06a;--c2:#7fd39b;--c3:#cf9be0;--c4:#e2c75c;--c5:#9db2ff;--c6:#f29ac0;--c7:#b7c4ca}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
header,main{max-width:60rem;margin:0 auto;padding:1rem}
header{border-bottom:3px double var(--rule)}
h1{font-size:1.9rem;margin:.1em 0}h2{margin:2rem 0 .5rem;border-top:1px solid var(--rule);padding-top:1rem}h3{margin:1.5rem 0 .4rem}
.kicker{margin:0;color:var(--soft);letter-spacing:.12em;text-transform:uppercase;font-size:.75rem}
figure,.scroll,.note{background:var(--sheet);border:1px solid var(--rule);border-radius:.4rem;margin:1rem 0;padding:.75rem}
figure,.scroll{overflow-x:auto}figcaption,caption{font-weight:600;text-align:left;padding-bottom:.4rem}
svg{width:100%;min-width:32rem;height:auto;display:block}svg text{fill:var(--soft);font:11px system-ui,sans-serif}
.grid{stroke:var(--rule);stroke-width:1}.mark{stroke:var(--bad);stroke-dasharray:4 3}svg text.mark{fill:var(--bad);stroke:none;font-weight:600}
polyline{fill:none;stroke-width:2;stroke-linejoin:round}
polyline.c0{stroke:var(--c0)}polyline.c1{stroke:var(--c1)}polyline.c2{stroke:var(--c2)}polyline.c3{stroke:var(--c3)}
polyline.c4{stroke:var(--c4)}polyline.c5{stroke:var(--c5)}polyline.c6{stroke:var(--c6)}polyline.c7{stroke:var(--c7)}
.legend{list-style:none;display:flex;flex-wrap:wrap;gap:.2rem 1rem;margin:.4rem 0 0;padding:0;font-size:.85rem}
.legend i{display:inline-block;width:1rem;height:.25rem;margin-right:.4rem;vertical-align:middle}
i.c0{background:var(--c0)}i.c1{background:var(--c1)}i.c2{background:var(--c2)}i.c3{background:var(--c3)}
i.c4{background:var(--c4)}i.c5{background:var(--c5)}i.c6{background:var(--c6)}i.c7{background:var(--c7)}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{text-align:right;padding:.25rem .6rem;border-bottom:1px solid var(--rule);white-space:nowrap}
th:first-child,td:first-child{text-align:left}thead th{color:var(--soft);font-weight:500;font-size:.85rem}
tbody tr:last-child>*{border-bottom:0}.ok{color:var(--ok);font-weight:600}.bad{color:var(--bad);font-weight:600}
.cells td{padding:.2rem .35rem;font-size:.75rem;text-align:center}.cells th{font-size:.75rem;font-weight:500}
.full{background:var(--sea)}.part{background:color-mix(in srgb,var(--bad) 25%,transparent)}.none{background:color-mix(in srgb,var(--bad) 55%,transparent)}
@media print{body{background:#fff}figure,.scroll{break-inside:avoid}}
";
