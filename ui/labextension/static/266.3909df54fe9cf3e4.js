"use strict";(self.rspackChunktsf_lab=self.rspackChunktsf_lab||[]).push([[266],{23(t,e,o){var r=o(24),a=o.n(r),s=o(25),n=o.n(s),i=o(26),f=o.n(i),l=new URL(o(27),o.b),p=n()(a()),d=f()(l);p.push([t.id,`/* Colours come from JupyterLab's theme; text keeps the theme's text colour, so that contrast holds in light and dark. */

.tsf-widget {
  --tsf-actual: var(--jp-ui-font-color1);
  --tsf-forecast: #0072b2;
  --tsf-limit: #d55e00;
  --tsf-breach: #d55e00;
  --tsf-good: #009e73;
  --tsf-some: #e69f00;

  background: var(--jp-layout-color1);
  color: var(--jp-ui-font-color1);
  font-family: var(--jp-ui-font-family);
  font-size: var(--jp-ui-font-size1);
  overflow: hidden;
}

[data-jp-theme-light='false'] .tsf-widget {
  --tsf-forecast: #56b4e9;
  --tsf-limit: #ff9248;
  --tsf-breach: #ff9248;
}

.tsf-icon {
  fill: none;
  stroke: var(--jp-inverse-layout-color3);
  stroke-width: 1.4;
  stroke-linecap: round;
  stroke-linejoin: round;
}

.tsf-page,
.tsf-urgent {
  box-sizing: border-box;
  display: flex;
  flex-direction: column;
  gap: 8px;
  height: 100%;
  padding: 12px 16px;
}

.tsf-page {
  container-type: inline-size; /* a tab of JupyterLab may be narrow in a wide window */
}

.tsf-urgent {
  padding: 8px;
}

.tsf-scroll-page {
  overflow: auto;
}

.tsf-widget h1,
.tsf-widget h2 {
  font-size: var(--jp-ui-font-size3);
  font-weight: 600;
  margin: 0;
}

.tsf-widget h2 {
  font-size: var(--jp-ui-font-size2);
  margin-top: 8px;
  overflow-wrap: anywhere;
}

.tsf-widget p {
  margin: 4px 0;
}

.tsf-note,
.tsf-soft,
.tsf-count {
  color: var(--jp-ui-font-color1);
  opacity: 0.85;
}

.tsf-note {
  max-width: 60em;
  overflow-wrap: anywhere;
  padding: 8px 0;
}

.tsf-problem {
  background: var(--jp-layout-color2);
  border-left: 4px solid var(--jp-error-color1);
  max-width: 60em;
  padding: 8px 12px;
}

.tsf-hidden {
  clip-path: inset(50%);
  height: 1px;
  overflow: hidden;
  position: absolute;
  white-space: nowrap;
  width: 1px;
}

/* Controls */

.tsf-buttons {
  align-items: center;
  display: flex;
  flex: none;
  flex-wrap: wrap;
  gap: 8px;
}

.tsf-button,
.tsf-search,
.tsf-choice select,
.tsf-choice input {
  background: var(--jp-layout-color1);
  border: 1px solid var(--jp-border-color1);
  border-radius: 4px;
  color: var(--jp-ui-font-color1);
  font: inherit;
  min-height: 28px;
  padding: 2px 10px;
}

a.tsf-button {
  align-items: center;
  box-sizing: border-box;
  display: inline-flex;
}

a.tsf-button,
a.tsf-button:hover {
  text-decoration: none;
}

a.tsf-button.tsf-primary {
  color: var(--jp-ui-inverse-font-color1);
}

.tsf-choice select {
  max-width: 28em;
}

.tsf-choice input {
  width: 5em;
}

.tsf-button,
.tsf-icon-button,
.tsf-entry,
.tsf-link,
.tsf-sort {
  cursor: pointer;
}

.tsf-button:hover:not(:disabled) {
  background: var(--jp-layout-color2);
}

.tsf-primary {
  background: var(--jp-inverse-layout-color2);
  border-color: var(--jp-inverse-layout-color2);
  color: var(--jp-ui-inverse-font-color1);
}

.tsf-primary:hover:not(:disabled) {
  background: var(--jp-inverse-layout-color3);
}

.tsf-button:disabled {
  cursor: default;
  opacity: 0.6;
}

.tsf-search {
  box-sizing: border-box;
  min-width: 14em;
}

.tsf-urgent .tsf-search,
.tsf-picker .tsf-search {
  min-width: 0;
  width: 100%;
}

.tsf-search::placeholder {
  color: var(--jp-ui-font-color1);
  opacity: 0.75;
}

.tsf-choice {
  align-items: center;
  display: inline-flex;
  gap: 6px;
}

.tsf-icon-button {
  background: none;
  border: 0;
  border-radius: 4px;
  height: 26px;
  padding: 4px;
  width: 26px;
}

.tsf-icon-button:hover:not(:disabled) {
  background: var(--jp-layout-color3);
}

.tsf-icon-button:disabled {
  cursor: default;
  opacity: 0.35;
}

.tsf-link,
.tsf-sort {
  background: none;
  border: 0;
  color: inherit;
  font: inherit;
  padding: 0;
  text-align: inherit;
}

.tsf-link {
  text-decoration: underline;
}

.tsf-widget :focus-visible {
  outline: 2px solid var(--jp-brand-color1);
  outline-offset: 1px;
}

/* Chips and bars: the colour repeats what the word or number says. */

.tsf-chip {
  background: var(--jp-layout-color2);
  border-radius: 10px;
  display: inline-block;
  font-size: var(--jp-ui-font-size0);
  line-height: 18px;
  margin-right: 4px;
  padding: 0 8px;
  white-space: nowrap;
}

.tsf-chip::before {
  background: var(--jp-border-color0);
  border-radius: 50%;
  content: '';
  display: inline-block;
  height: 8px;
  margin-right: 6px;
  width: 8px;
}

.tsf-chip-running::before {
  background: var(--tsf-forecast);
}

.tsf-chip-completed::before {
  background: var(--tsf-good);
}

.tsf-chip-failed::before {
  background: var(--jp-error-color1);
}

.tsf-chip-pending::before,
.tsf-chip-stale::before {
  background: var(--tsf-some);
}

.tsf-bar {
  background: var(--jp-layout-color2);
  border-radius: 3px;
  display: inline-block;
  height: 18px;
  overflow: hidden;
  position: relative;
  width: 5em;
}

.tsf-bar-fill {
  border-bottom: 4px solid var(--tsf-good);
  bottom: 0;
  left: 0;
  position: absolute;
}

.tsf-bar-some {
  border-color: var(--tsf-some);
}

.tsf-bar-high {
  border-color: var(--tsf-breach);
}

.tsf-bar-text {
  font-size: var(--jp-ui-font-size0);
  font-variant-numeric: tabular-nums;
  left: 0;
  line-height: 15px;
  position: absolute;
  right: 6px;
  text-align: right;
}

/* Long lists */

.tsf-scroll {
  contain: content;
  flex: 1;
  min-height: 0;
  overflow: auto;
}

.tsf-series {
  list-style: none;
  margin: 0;
  padding: 0;
}

.tsf-series li {
  box-sizing: border-box;
  padding: 1px 2px;
}

.tsf-entry {
  align-content: center;
  background: none;
  border: 0;
  border-bottom: 1px solid var(--jp-border-color2);
  color: inherit;
  column-gap: 8px;
  display: grid;
  font: inherit;
  grid-template-columns: 1fr auto;
  height: 100%;
  overflow: hidden;
  padding: 2px 6px;
  row-gap: 4px;
  text-align: left;
  width: 100%;
}

.tsf-entry:hover,
.tsf-entry[aria-current='true'] {
  background: var(--jp-layout-color2);
}

.tsf-entry:hover .tsf-bar,
.tsf-entry[aria-current='true'] .tsf-bar,
.tsf-long tbody tr:hover .tsf-bar,
.tsf-long tbody tr:hover .tsf-chip {
  background: var(--jp-layout-color1); /* else it would be lost in the ground of the row */
}

.tsf-entry.tsf-alarm {
  border-left: 3px solid var(--tsf-breach);
}

.tsf-entry-title,
.tsf-entry-task {
  overflow: hidden;
  text-overflow: ellipsis;
  white-space: nowrap;
}

.tsf-entry-title {
  font-weight: 600;
}

.tsf-entry-when {
  white-space: nowrap;
}

.tsf-entry-title,
.tsf-entry-state {
  grid-column: 1 / 3;
}

.tsf-entry-task,
.tsf-entry-state,
.tsf-entry-when {
  font-size: var(--jp-ui-font-size0);
}

.tsf-urgent .tsf-buttons {
  flex-wrap: nowrap;
  gap: 4px;
}

.tsf-urgent .tsf-buttons .tsf-button {
  padding: 2px 7px;
  white-space: nowrap;
}

.tsf-entry .tsf-bar {
  justify-self: end;
}

.tsf-summary {
  overflow-wrap: anywhere;
}

.tsf-summary dl {
  display: grid;
  gap: 2px 12px;
  grid-template-columns: auto 1fr;
  margin: 4px 0;
}

.tsf-summary dd,
.tsf-facts dd {
  margin: 0;
}

.tsf-facts {
  display: flex;
  flex-wrap: wrap;
  gap: 6px 16px;
  margin: 4px 0;
  overflow-wrap: anywhere;
}

.tsf-facts dd {
  font-weight: 600;
}

/* Tables */

.tsf-table {
  border-collapse: collapse;
  font-variant-numeric: tabular-nums;
}

.tsf-table caption {
  font-weight: 600;
  padding: 8px 0 4px;
  text-align: left;
}

.tsf-table th,
.tsf-table td {
  border-bottom: 1px solid var(--jp-border-color2);
  font-weight: 400;
  padding: 4px 10px 4px 4px;
  text-align: left;
}

.tsf-table thead th {
  background: var(--jp-layout-color1);
  font-weight: 600;
  white-space: nowrap;
}

.tsf-table .tsf-number {
  text-align: right;
  white-space: nowrap;
}

.tsf-table .tsf-code {
  font-family: var(--jp-code-font-family);
  font-size: var(--jp-code-font-size);
  max-width: 30em;
  overflow-wrap: anywhere;
}

.tsf-wide {
  flex: none;
  overflow-x: auto;
}

.tsf-wide tbody th .tsf-soft {
  font-family: var(--jp-code-font-family);
  padding-left: 6px;
}

.tsf-actions {
  white-space: nowrap;
}

.tsf-actions .tsf-button {
  margin-right: 6px;
}

.tsf-long {
  --tsf-name: 18%;
  --tsf-state: 22%;
  --tsf-narrow: 7em;
  --tsf-actions: 15em;

  border-collapse: separate;
  border-spacing: 0;
  min-width: 77em; /* a fixed layout ignores what a cell needs: this leaves 12em to the column without a width */
  table-layout: fixed;
  width: 100%;
}

@container (max-width: 1000px) {
  .tsf-long {
    --tsf-name: 16%;
    --tsf-state: 18%;
    --tsf-narrow: 5em;
    --tsf-actions: 8.2em; /* two rows of four */

    min-width: 49em;
  }

  .tsf-long .tsf-actions,
  .tsf-long thead th {
    white-space: normal;
  }

  .tsf-long th,
  .tsf-long td {
    padding-right: 4px;
  }

  .tsf-long .tsf-bar {
    width: 100%;
  }

  .tsf-long .tsf-lines {
    -webkit-line-clamp: 2;
  }
}

.tsf-long thead th {
  position: sticky;
  top: 0;
  z-index: 1;
}

.tsf-long tbody th,
.tsf-long tbody td {
  overflow: hidden;
  padding-bottom: 0;
  padding-top: 0;
}

.tsf-long tbody tr:not([aria-hidden]):hover > * {
  background: var(--jp-layout-color2);
}

.tsf-long tbody tr[aria-hidden] > * {
  border: 0;
}

.tsf-long tbody .tsf-soft,
.tsf-strong {
  display: block;
  overflow: hidden;
  text-overflow: ellipsis;
  white-space: nowrap;
}

.tsf-long tbody .tsf-soft,
.tsf-long tbody .tsf-link {
  font-size: var(--jp-ui-font-size0);
}

.tsf-strong {
  font-weight: 600;
}

.tsf-lines {
  display: -webkit-box;
  font-size: var(--jp-ui-font-size0);
  -webkit-box-orient: vertical;
  -webkit-line-clamp: 3;
  overflow: hidden;
  overflow-wrap: anywhere;
}

.tsf-long progress {
  accent-color: var(--tsf-forecast);
  height: 8px;
  width: 100px;
}

/* Dashboard and charts */

.tsf-split {
  display: flex;
  flex: 1;
  gap: 16px;
  min-height: 0;
}

.tsf-picker {
  display: flex;
  flex: 0 0 300px;
  flex-direction: column;
  gap: 6px;
  min-width: 0;
}

.tsf-main {
  flex: 1;
  min-width: 0;
  overflow: auto;
}

@container (max-width: 700px) {
  .tsf-split {
    flex-direction: column;
  }

  .tsf-picker {
    flex: 0 1 220px;
    min-height: 0;
  }
}

.tsf-figure {
  margin: 12px 0;
  max-width: 1200px;
}

.tsf-figure figcaption {
  font-weight: 600;
}

.tsf-figure figcaption .tsf-soft {
  font-weight: 400;
}

.tsf-legend {
  display: flex;
  flex-wrap: wrap;
  font-size: var(--jp-ui-font-size0);
  gap: 2px 16px;
  margin: 2px 0;
}

.tsf-drawing {
  position: relative;
}

.tsf-axes line {
  stroke: var(--jp-border-color2);
}

.tsf-axes text {
  fill: var(--jp-ui-font-color1);
  font-size: var(--jp-ui-font-size0);
}

.tsf-curve {
  fill: none;
  stroke: var(--tsf-forecast);
  stroke-width: 1.6;
}

.tsf-curve-actual {
  stroke: var(--tsf-actual);
}

.tsf-curve-median {
  stroke-width: 2.2;
}

.tsf-curve-band {
  fill: var(--tsf-forecast);
  fill-opacity: 0.22;
  stroke: none;
}

.tsf-curve-limit {
  stroke: var(--tsf-limit);
  stroke-width: 1.8;
}

.tsf-curve-line {
  stroke: var(--tsf-limit);
  stroke-dasharray: 5 4;
}

.tsf-curve-other.tsf-nth-0 {
  stroke: var(--tsf-actual);
}

.tsf-curve-other.tsf-nth-1 {
  stroke: #d55e00;
}

.tsf-curve-other.tsf-nth-2 {
  stroke: #009e73;
  stroke-dasharray: 6 3;
}

.tsf-curve-other.tsf-nth-3 {
  stroke: #cc79a7;
  stroke-dasharray: 2 3;
}

.tsf-curve-other.tsf-nth-4 {
  stroke: #e69f00;
  stroke-dasharray: 8 3 2 3;
}

.tsf-curve-other.tsf-nth-5 {
  stroke: #56b4e9;
  stroke-dasharray: 4 4;
}

.tsf-mark-breach {
  fill: var(--tsf-breach);
  fill-opacity: 0.25;
}

.tsf-mark-alarm {
  fill: var(--tsf-breach);
}

.tsf-pointer {
  stroke: var(--jp-ui-font-color1);
  stroke-dasharray: 2 2;
}

.tsf-reading {
  background: var(--jp-layout-color1);
  border: 1px solid var(--jp-border-color1);
  border-radius: 4px;
  font-size: var(--jp-ui-font-size0);
  margin-left: 10px;
  padding: 4px 8px;
  pointer-events: none;
  position: absolute;
  top: 8px;
  white-space: nowrap;
}

.tsf-reading.tsf-left {
  margin-left: -10px;
  transform: translateX(-100%);
}

.tsf-numbers summary {
  cursor: pointer;
  width: max-content;
}

.tsf-numbers-scroll {
  max-height: 320px;
  overflow: auto;
}

/* Log, report, panel */

.tsf-log {
  background: var(--jp-layout-color0);
  border: 1px solid var(--jp-border-color2);
  color: var(--jp-content-font-color1);
  flex: 1;
  font-family: var(--jp-code-font-family);
  font-size: var(--jp-code-font-size);
  margin: 0;
  min-height: 0;
  overflow: auto;
  overflow-wrap: anywhere;
  padding: 8px;
  white-space: pre-wrap;
}

.tsf-rules {
  flex: none;
}

.tsf-report iframe {
  background: #fff;
  border: 1px solid var(--jp-border-color2);
  flex: 1;
}

.tsf-setup {
  background: var(--jp-layout-color1);
  color: var(--jp-ui-font-color1);
  overflow: auto;
  padding: 12px 16px;
}

[data-jp-theme-light='false'] .tsf-setup {
  /* The arrow of ipywidgets is black in every theme. */
  --jp-widgets-dropdown-arrow: url(${d});
}

.tsf-setup .jupyter-widgets :focus-visible,
.tsf-setup .jupyter-widgets:focus-visible {
  outline: 2px solid var(--jp-brand-color1) !important; /* that of ipywidgets is hardly seen */
  outline-offset: 1px;
}

.tsf-setup .jp-OutputArea-output {
  overflow: visible;
}

.tsf-urgent .tsf-bar {
  width: 3.6em;
}
`,""]),o.d(e,{},{A:p})},25(t){t.exports=function(t){var e=[];return e.toString=function(){return this.map(function(e){var o="",r=void 0!==e[5];return e[4]&&(o+="@supports (".concat(e[4],") {")),e[2]&&(o+="@media ".concat(e[2]," {")),r&&(o+="@layer".concat(e[5].length>0?" ".concat(e[5]):""," {")),o+=t(e),r&&(o+="}"),e[2]&&(o+="}"),e[4]&&(o+="}"),o}).join("")},e.i=function(t,o,r,a,s){"string"==typeof t&&(t=[[null,t,void 0]]);var n={};if(r)for(var i=0;i<this.length;i++){var f=this[i][0];null!=f&&(n[f]=!0)}for(var l=0;l<t.length;l++){var p=[].concat(t[l]);r&&n[p[0]]||(void 0!==s&&(void 0===p[5]||(p[1]="@layer".concat(p[5].length>0?" ".concat(p[5]):""," {").concat(p[1],"}")),p[5]=s),o&&(p[2]&&(p[1]="@media ".concat(p[2]," {").concat(p[1],"}")),p[2]=o),a&&(p[4]?(p[1]="@supports (".concat(p[4],") {").concat(p[1],"}"),p[4]=a):p[4]="".concat(a)),e.push(p))}},e}},26(t){t.exports=function(t,e){return(e||(e={}),t&&(t=String(t.__esModule?t.default:t),/^['"].*['"]$/.test(t)&&(t=t.slice(1,-1)),e.hash&&(t+=e.hash),/["'() \t\n]|(%20)/.test(t)||e.needQuotes))?'"'.concat(t.replace(/"/g,'\\"').replace(/\n/g,"\\n"),'"'):t}},24(t){t.exports=function(t){return t[1]}},16(t,e,o){o.r(e);var r=o(17),a=o.n(r),s=o(18),n=o.n(s),i=o(19),f=o.n(i),l=o(20),p=o.n(l),d=o(21),c=o.n(d),u=o(22),h=o.n(u),g=o(23),b={};b.styleTagTransform=h(),b.setAttributes=p(),b.insert=f().bind(null,"head"),b.domAPI=n(),b.insertStyleElement=c(),a()(g.A,b);let v=g.A&&g.A.locals?g.A.locals:void 0;o.d(e,{},{default:v})},17(t){var e=[];function o(t){for(var o=-1,r=0;r<e.length;r++)if(e[r].identifier===t){o=r;break}return o}function r(t,r){for(var a={},s=[],n=0;n<t.length;n++){var i=t[n],f=r.base?i[0]+r.base:i[0],l=a[f]||0,p="".concat(f," ").concat(l);a[f]=l+1;var d=o(p),c={css:i[1],media:i[2],sourceMap:i[3],supports:i[4],layer:i[5]};if(-1!==d)e[d].references++,e[d].updater(c);else{var u=function(t,e){var o=e.domAPI(e);return o.update(t),function(e){e?(e.css!==t.css||e.media!==t.media||e.sourceMap!==t.sourceMap||e.supports!==t.supports||e.layer!==t.layer)&&o.update(t=e):o.remove()}}(c,r);r.byIndex=n,e.splice(n,0,{identifier:p,updater:u,references:1})}s.push(p)}return s}t.exports=function(t,a){var s=r(t=t||[],a=a||{});return function(t){t=t||[];for(var n=0;n<s.length;n++){var i=o(s[n]);e[i].references--}for(var f=r(t,a),l=0;l<s.length;l++){var p=o(s[l]);0===e[p].references&&(e[p].updater(),e.splice(p,1))}s=f}}},19(t){var e={};t.exports=function(t,o){var r=function(t){if(void 0===e[t]){var o=document.querySelector(t);if(window.HTMLIFrameElement&&o instanceof window.HTMLIFrameElement)try{o=o.contentDocument.head}catch(t){o=null}e[t]=o}return e[t]}(t);if(!r)throw Error("Couldn't find a style target. This probably means that the value for the 'insert' parameter is invalid.");r.appendChild(o)}},21(t){t.exports=function(t){var e=document.createElement("style");return t.setAttributes(e,t.attributes),t.insert(e,t.options),e}},20(t,e,o){t.exports=function(t){var e=o.nc;e&&t.setAttribute("nonce",e)}},18(t){t.exports=function(t){if("u"<typeof document)return{update:function(){},remove:function(){}};var e=t.insertStyleElement(t);return{update:function(o){var r,a,s;r="",o.supports&&(r+="@supports (".concat(o.supports,") {")),o.media&&(r+="@media ".concat(o.media," {")),(a=void 0!==o.layer)&&(r+="@layer".concat(o.layer.length>0?" ".concat(o.layer):""," {")),r+=o.css,a&&(r+="}"),o.media&&(r+="}"),o.supports&&(r+="}"),(s=o.sourceMap)&&"u">typeof btoa&&(r+="\n/*# sourceMappingURL=data:application/json;base64,".concat(btoa(unescape(encodeURIComponent(JSON.stringify(s))))," */")),t.styleTagTransform(r,e,t.options)},remove:function(){var t;null===(t=e).parentNode||t.parentNode.removeChild(t)}}}},22(t){t.exports=function(t,e){if(e.styleSheet)e.styleSheet.cssText=t;else{for(;e.firstChild;)e.removeChild(e.firstChild);e.appendChild(document.createTextNode(t))}}},27(t){t.exports="data:image/svg+xml,%3Csvg xmlns=%27http://www.w3.org/2000/svg%27 viewBox=%270 0 18 18%27%3E%3Cpath d=%27M4 6.5l5 5 5-5%27 fill=%27none%27 stroke=%27%23ddd%27 stroke-width=%272%27/%3E%3C/svg%3E"}}]);