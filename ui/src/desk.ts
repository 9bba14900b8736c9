/** What every page is given: the server, the feed, and the ways to act on JupyterLab. */

import type { Api, Labels } from './model/api';
import type { Poller } from './model/feed';
import type { Store } from './model/store';

export type PageName = 'tasks' | 'models' | 'dashboard' | 'log' | 'report' | 'rules' | 'setup';

/** Which page is open and on what; it survives a reload, so it is plain JSON. */
export interface Page {
  page: PageName;
  task?: string;
  /** Of a series: its labels, as its row may be another's after a push. */
  labels?: Labels;
  stage?: string;
  run?: number;
  /** Of a panel: the session of its kernel, which a reload finds again. */
  session?: string;
}

export interface Preferences {
  refreshSeconds: number;
  hours: number;
}

export interface Desk {
  api: Api;
  feed: Poller;
  preferences: Store<Preferences>;
  open(page: Page): void;
  /** Open a notebook below the server's root, at a cell if one is given. */
  openNotebook(path: string, cell?: number | null): void;
  /** Whether the person agrees; `action` is the word on the button. */
  confirm(title: string, body: string, action: string): Promise<boolean>;
  notify(message: string, kind?: 'info' | 'success' | 'error'): void;
}
