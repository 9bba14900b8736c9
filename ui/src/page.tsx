/** A tab of JupyterLab that holds one page. */

import { ReactWidget } from '@jupyterlab/ui-components';
import * as React from 'react';

import type { Desk, Page, PageName } from './desk';
import { Store } from './model/store';
import { language } from './model/words';
import { DashboardPage } from './views/dashboard';
import { LogPage } from './views/log';
import { ModelsPage } from './views/models';
import { ReportPage } from './views/report';
import { RulesPage } from './views/rules';
import { TasksPage } from './views/tasks';

const PAGES: Record<Exclude<PageName, 'setup'>, React.ComponentType<{ desk: Desk; page: Store<Page> }>> = {
  tasks: TasksPage,
  models: ModelsPage,
  dashboard: DashboardPage,
  log: LogPage,
  report: ReportPage,
  rules: RulesPage
};

export class PageWidget extends ReactWidget {
  constructor(
    private readonly desk: Desk,
    readonly page: Store<Page>
  ) {
    super();
    this.addClass('tsf-widget');
    this.node.lang = language();
  }

  protected render(): React.ReactElement {
    const name = this.page.get().page;
    const Shown = PAGES[name === 'setup' ? 'tasks' : name];
    return <Shown desk={this.desk} page={this.page} />;
  }
}
