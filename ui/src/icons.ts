/** Drawn for these pages, in the colour of JupyterLab's theme. */

import { LabIcon } from '@jupyterlab/ui-components';

function icon(name: string, paths: string): LabIcon {
  const svgstr = `<svg xmlns="http://www.w3.org/2000/svg" width="16" viewBox="0 0 16 16"><g class="tsf-icon">${paths}</g></svg>`;
  return new LabIcon({ name: `tsf:${name}`, svgstr });
}

/** A curve that runs into its limit. */
export const tsfIcon = icon(
  'tsf',
  '<path d="M1.5 3.5h13"/><path d="M1.5 13c3 0 4-2 6-4"/><path d="M7.5 9c1.5-1.5 2.5-3 4.5-5.5" stroke-dasharray="1.5 2"/><circle cx="12.2" cy="3.5" r="1.3"/>'
);
export const chartIcon = icon('chart', '<path d="M2 2v12h12"/><path d="M4.5 10.5l3-3.5 2.5 2 4-5"/>');
export const reportIcon = icon('report', '<path d="M3.5 1.5h6l3 3v10h-9z"/><path d="M9.5 1.5v3h3M5.5 8h5M5.5 11h5"/>');
export const alarmIcon = icon('alarm', '<path d="M4 11.5V7a4 4 0 0 1 8 0v4.5M2.5 11.5h11M7 14h2"/>');
export const modelIcon = icon(
  'model',
  '<circle cx="8" cy="3" r="1.7"/><circle cx="3.5" cy="12.5" r="1.7"/><circle cx="12.5" cy="12.5" r="1.7"/><path d="M7.2 4.7l-3 6M8.8 4.7l3 6M5.3 12.5h5.4"/>'
);
export const logIcon = icon('log', '<path d="M2 3.5h12M2 8h9M2 12.5h11"/>');
