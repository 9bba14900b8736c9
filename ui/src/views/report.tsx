/** A report in a tab: the page as it was written, in a frame where nothing of it can run. */

import * as React from 'react';

import type { Desk, Page } from '../desk';
import type { Store } from '../model/store';
import { t } from '../model/words';
import { useAsked, useStore } from './common';

const STAGES = ['fetch', 'train', 'evaluate', 'push'] as const;

/** The page without its bar of links: in the frame they lead nowhere, and the buttons above do the same. */
function withoutLinks(html: string): string {
  const page = new DOMParser().parseFromString(html, 'text/html'); // inert: nothing of it runs or loads
  page.querySelectorAll('body > nav').forEach(nav => nav.remove());
  return `<!doctype html>${page.documentElement.outerHTML}`;
}

export function ReportPage({ desk, page }: { desk: Desk; page: Store<Page> }): React.ReactElement {
  const { task = '', stage = 'push' } = useStore(page);
  const feed = useStore(desk.feed.store);
  const news = feed.tasks.find(one => one.name === task)?.last_run ?? '';
  const { value, error } = useAsked(() => desk.api.report(task, stage), `${task} ${stage}`, news);
  return (
    <div className="tsf-page tsf-report">
      <div className="tsf-buttons" role="group" aria-label={t('Stage')}>
        <h1>{task}</h1>
        {STAGES.map(one => (
          <button
            key={one}
            type="button"
            className={one === stage ? 'tsf-button tsf-primary' : 'tsf-button'}
            aria-pressed={one === stage}
            onClick={() => page.set({ page: 'report', task, stage: one })}
          >
            {one}
          </button>
        ))}
      </div>
      {error || value === undefined ? (
        <p className="tsf-note">{error ?? t('Loading…')}</p>
      ) : (
        // No token of `sandbox`: the frame runs no script, and its page cannot reach this one.
        <iframe title={t('Report {stage} of {task}', { stage, task })} sandbox="" srcDoc={withoutLinks(value)} />
      )}
    </div>
  );
}
