/** What tsf adds to JupyterLab: a side-bar, pages in tabs, commands, launcher cards and settings. */

import { ILayoutRestorer, IRouter, type JupyterFrontEnd, type JupyterFrontEndPlugin } from '@jupyterlab/application';
import { Dialog, ICommandPalette, MainAreaWidget, Notification, showDialog, WidgetTracker } from '@jupyterlab/apputils';
import { URLExt } from '@jupyterlab/coreutils';
import { ILauncher } from '@jupyterlab/launcher';
import { IRenderMimeRegistry } from '@jupyterlab/rendermime';
import { ServerConnection } from '@jupyterlab/services';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { ITranslator } from '@jupyterlab/translation';
import { type LabIcon, ReactWidget } from '@jupyterlab/ui-components';
import * as React from 'react';

import type { Desk, Page, PageName, Preferences } from './desk';
import { alarmIcon, chartIcon, logIcon, modelIcon, reportIcon, tsfIcon } from './icons';
import { createApi } from './model/api';
import { Poller } from './model/feed';
import { pageKey, pageOfUrl } from './model/pages';
import { Store } from './model/store';
import { language, setLanguage, t } from './model/words';
import { PageWidget } from './page';
import { SetupPanel } from './setup';
import { Urgent } from './views/urgent';

const ID = 'tsf-lab:plugin';
const OPEN = 'tsf:open';
const ROUTE = 'tsf:route';

type Tab = MainAreaWidget<PageWidget | SetupPanel>;

const plugin: JupyterFrontEndPlugin<void> = {
  id: ID,
  description: 'Tasks, models, forecasts and what is about to reach its limit.',
  autoStart: true,
  requires: [IRenderMimeRegistry, ITranslator],
  optional: [ISettingRegistry, ILayoutRestorer, ICommandPalette, ILauncher, IRouter],
  activate
};
export default plugin;

async function activate(
  app: JupyterFrontEnd,
  rendermime: IRenderMimeRegistry,
  translator: ITranslator,
  registry: ISettingRegistry | null,
  restorer: ILayoutRestorer | null,
  palette: ICommandPalette | null,
  launcher: ILauncher | null,
  router: IRouter | null
): Promise<void> {
  const preferences = await readPreferences(registry, translator);
  const desk = createDesk(app, preferences);
  const tracker = new WidgetTracker<Tab>({ namespace: 'tsf' });
  const open = (page: Page) => showPage(app, desk, tracker, rendermime, page);
  app.commands.addCommand(OPEN, { label: t('Open a page of tsf'), execute: args => open(args as unknown as Page) });
  addPages(app, palette, launcher);
  addSidebar(app, desk, restorer);
  void restorer?.restore(tracker, {
    command: OPEN,
    args: tab => ({ ...tab.content.page.get() }),
    name: tab => pageKey(tab.content.page.get())
  });
  addRoute(app, router);
  desk.feed.start();
}

/** Settings as they are now and after each change; the language is taken once, as JupyterLab takes its own. */
async function readPreferences(
  registry: ISettingRegistry | null,
  translator: ITranslator
): Promise<Store<Preferences>> {
  const store = new Store<Preferences>({ refreshSeconds: 5, hours: 168 });
  const settings = await registry?.load(ID).catch(() => undefined);
  const chosen = settings?.get('language').composite;
  setLanguage(typeof chosen === 'string' && chosen !== 'auto' ? chosen : translator.languageCode);
  const take = () => settings && store.update(settings.composite);
  take();
  settings?.changed.connect(take);
  return store;
}

function createDesk(app: JupyterFrontEnd, preferences: Store<Preferences>): Desk {
  const settings = app.serviceManager.serverSettings;
  const address = URLExt.join(settings.baseUrl, 'tsf/api');
  // no-cache: asked each time, but what has not changed since is not sent again.
  const api = createApi((path, init) =>
    ServerConnection.makeRequest(address + path, { ...init, cache: 'no-cache' }, settings)
  );
  const hidden = () => document.visibilityState === 'hidden';
  return {
    api,
    preferences,
    feed: new Poller(api, () => preferences.get().refreshSeconds, hidden),
    open: page => void app.commands.execute(OPEN, { ...page }),
    openNotebook: (path, cell) => void openNotebook(app, path, cell ?? undefined),
    confirm: async (title, body, action) => {
      const buttons = [Dialog.cancelButton({ label: t('Keep') }), Dialog.warnButton({ label: action })];
      // Enter keeps: it may have been pressed once too often.
      return (await showDialog({ title, body, buttons, defaultButton: 0 })).button.accept;
    },
    notify: (message, kind = 'info') => {
      Notification.emit(message, kind, { autoClose: kind === 'error' ? 15000 : 4000 });
    }
  };
}

/** As much of a notebook's tab as is needed to show one of its cells. */
interface NotebookTab {
  revealed: Promise<void>;
  content: { activeCellIndex: number; scrollToItem?(index: number, align?: string): Promise<void> };
}

async function openNotebook(app: JupyterFrontEnd, path: string, cell?: number): Promise<void> {
  const tab = (await app.commands.execute('docmanager:open', { path, factory: 'Notebook' })) as NotebookTab | undefined;
  if (tab && cell !== undefined) {
    await tab.revealed;
    tab.content.activeCellIndex = cell;
    await tab.content.scrollToItem?.(cell, 'center');
  }
}

const ICONS: Record<PageName, LabIcon> = {
  tasks: tsfIcon,
  models: modelIcon,
  dashboard: chartIcon,
  log: logIcon,
  report: reportIcon,
  rules: alarmIcon,
  setup: tsfIcon
};

function titleOf(page: Page): string {
  const names: Record<PageName, () => string> = {
    tasks: () => t('Tasks'),
    models: () => t('Models'),
    dashboard: () => t('Dashboard'),
    log: () => t('Log'),
    report: () => t('Report of {task}', { task: page.task ?? '' }),
    rules: () => t('Alert rules of {task}', { task: page.task ?? '' }),
    setup: () => (page.task ? t('Edit {task}', { task: page.task }) : t('New task'))
  };
  return names[page.page]();
}

/** Open the page, or bring it to the front and show what was asked for. */
async function showPage(
  app: JupyterFrontEnd,
  desk: Desk,
  tracker: WidgetTracker<Tab>,
  rendermime: IRenderMimeRegistry,
  page: Page
): Promise<void> {
  const folder = page.page === 'setup' ? await projectFolder(desk) : '';
  // From here to tracker.add nothing is waited for: who asks twice at once gets one tab.
  const id = pageKey(page);
  const known = tracker.find(tab => tab.id === id);
  if (known) {
    if (page.task !== undefined || page.run !== undefined) {
      known.content.page.set({ ...page, session: known.content.page.get().session });
    }
    app.shell.activateById(id);
    if (known.content instanceof SetupPanel && page.task === undefined) {
      void known.content.renew();
    }
    return;
  }
  const content =
    page.page === 'setup'
      ? new SetupPanel(app.serviceManager, rendermime, page, folder)
      : new PageWidget(desk, new Store<Page>(page));
  const tab: Tab = new MainAreaWidget<PageWidget | SetupPanel>({ content });
  tab.id = id;
  tab.title.label = titleOf(page);
  tab.title.icon = ICONS[page.page];
  tab.title.closable = true;
  tab.toolbar.hide();
  content.page.subscribe(() => void tracker.save(tab));
  await tracker.add(tab);
  app.shell.add(tab, 'main');
  app.shell.activateById(id);
}

/** The project's folder below the server's root: there the kernel of a panel starts. */
async function projectFolder(desk: Desk): Promise<string> {
  const about = desk.feed.store.get().about ?? (await desk.api.about().catch(() => null));
  return about?.root?.replace(/^\.$/, '') ?? '';
}

/** A command for each page that needs no task, in the palette and, the daily ones, in the launcher. */
function addPages(app: JupyterFrontEnd, palette: ICommandPalette | null, launcher: ILauncher | null): void {
  const captions: [PageName, string][] = [
    ['setup', t('Set up a forecast from a preset or a query')],
    ['tasks', t('All tasks with their state; run, cancel, retry')],
    ['dashboard', t('Forecasts, limits, alarms and breaches')],
    ['models', t('Versions, metrics, promote and roll back')],
    ['log', t('What the runs have said')]
  ];
  captions.forEach(([page, caption], rank) => {
    const command = `tsf:${page}`;
    const label = titleOf({ page });
    const open = () => app.commands.execute(OPEN, { page });
    app.commands.addCommand(command, { label, caption, icon: ICONS[page], execute: open });
    palette?.addItem({ command, category: 'tsf' });
    launcher?.add({ command, category: 'tsf', rank });
  });
}

function addSidebar(app: JupyterFrontEnd, desk: Desk, restorer: ILayoutRestorer | null): void {
  const sidebar = ReactWidget.create(<Urgent desk={desk} />);
  sidebar.id = 'tsf-urgent';
  sidebar.addClass('tsf-widget');
  sidebar.node.lang = language();
  sidebar.title.icon = tsfIcon;
  sidebar.title.caption = t('tsf: what is about to reach its limit');
  app.shell.add(sidebar, 'left', { rank: 850 });
  restorer?.add(sidebar, sidebar.id);
}

/** A page by its address: …/lab?tsf=dashboard:storage. */
function addRoute(app: JupyterFrontEnd, router: IRouter | null): void {
  app.commands.addCommand(ROUTE, {
    execute: async args => {
      const page = typeof args.search === 'string' ? pageOfUrl(args.search) : null;
      await app.restored;
      if (page) {
        await app.commands.execute(OPEN, { ...page });
      }
    }
  });
  router?.register({ command: ROUTE, pattern: /[?&]tsf=/ });
}
