/** The page's whole style: screen and paper, black on white, system fonts only. */
export const REPORT_STYLE = `
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 60rem; padding: 2rem 1.5rem 4rem; color: #1a1a1a; background: #fff;
  font: 15px/1.5 "Liberation Serif", "Noto Serif", Georgia, "Times New Roman", serif; }
header { border-bottom: 3px double #1a1a1a; padding-bottom: 1rem; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .3rem; }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem; padding-bottom: .2rem; border-bottom: 1px solid #777; }
h3 { font-size: 1rem; margin: 1.2rem 0 .4rem; }
p { margin: .4rem 0; }
code, pre, .mono { font: 12.5px/1.45 "Liberation Mono", "Noto Sans Mono", Menlo, Consolas, monospace; overflow-wrap: anywhere; }
pre { white-space: pre-wrap; background: #f6f6f4; border: 1px solid #d5d5d0; padding: .6rem .8rem; margin: .5rem 0; }
table { border-collapse: collapse; width: 100%; margin: .5rem 0; }
th, td { text-align: left; vertical-align: top; padding: .32rem .6rem .32rem 0; border-bottom: 1px solid #ddd; }
thead th { border-bottom: 1.5px solid #555; font-size: .86rem; }
tbody th { font-weight: 600; width: 11rem; }
td { overflow-wrap: anywhere; }
ul { margin: .3rem 0; padding-left: 1.2rem; }
.sub { color: #444; font-size: .92rem; }
.small { font-size: .86rem; color: #444; }
.verdict { border: 2px solid; padding: .8rem 1rem; margin: 1.2rem 0; }
.verdict strong { font-size: 1.15rem; letter-spacing: .02em; }
.good { border-color: #1d6b33; background: #f1f8f2; }
.bad { border-color: #9b1c1c; background: #fdf2f2; }
.fair { border-color: #8a6100; background: #fdf8ec; }
.yes { color: #1d6b33; font-weight: 600; white-space: nowrap; }
.no { color: #9b1c1c; font-weight: 600; white-space: nowrap; }
.open { color: #8a6100; font-weight: 600; white-space: nowrap; }
.when { white-space: nowrap; }
.told { white-space: pre-wrap; }
footer { margin-top: 2.5rem; border-top: 1px solid #777; padding-top: .6rem; font-size: .86rem; color: #444; }
@page { size: A4; margin: 18mm 16mm 20mm; }
@media print {
  body { max-width: none; padding: 0; font-size: 10.5pt; }
  code, pre, .mono { font-size: 8.5pt; }
  h2, h3, .sub { break-after: avoid; }
  tr, .verdict, li { break-inside: avoid; }
  thead { display: table-header-group; }
}
`;
