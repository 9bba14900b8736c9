/** Pages as tabs and addresses. Pure. */

import type { Page, PageName } from '../desk';

/** The one tab that shows the page: a report, its rules and an editor belong to a task, of the others there is one each. */
export function pageKey({ page, task }: Page): string {
  const own = page === 'report' || page === 'rules' || page === 'setup';
  return own && task !== undefined ? `tsf-${page}-${task}` : `tsf-${page}`;
}

const BY_ADDRESS: PageName[] = ['tasks', 'models', 'dashboard', 'log', 'report', 'rules', 'setup'];

/** The page that ?tsf=NAME or ?tsf=NAME:TASK names; null for any other name, as addresses come from strangers. */
export function pageOfUrl(search: string): Page | null {
  const [name, ...rest] = (new URLSearchParams(search).get('tsf') ?? '').split(':');
  const page = BY_ADDRESS.find(one => one === name);
  const task = rest.join(':');
  return page ? { page, ...(task ? { task } : {}) } : null;
}
