/** The side-bar: what is about to reach its limit, the most urgent first. */

import * as React from 'react';

import type { Desk } from '../desk';
import type { SeriesRow, Task } from '../model/api';
import type { Feed } from '../model/feed';
import { ago, percent, toLimit } from '../model/format';
import { noiseUsed, reasons } from '../model/noise';
import { alarmsOf, shownSeries } from '../model/rows';
import { t } from '../model/words';
import { Bar, Chip, Guarded, SearchBox, Title, useNow, useWalk, useWindow, type Walked } from './common';
import { stateWord } from './tasks';

const ROW_HEIGHT = 76;

export function Urgent({ desk }: { desk: Desk }): React.ReactElement {
  return (
    <div className="tsf-urgent">
      <div className="tsf-buttons">
        <button type="button" className="tsf-button tsf-primary" onClick={() => desk.open({ page: 'setup' })}>
          {t('New task')}
        </button>
        <button type="button" className="tsf-button" onClick={() => desk.open({ page: 'tasks' })}>
          {t('Tasks')}
        </button>
        <button type="button" className="tsf-button" onClick={() => desk.open({ page: 'dashboard' })}>
          {t('Dashboard')}
        </button>
      </div>
      <Guarded desk={desk}>{feed => <Series desk={desk} feed={feed} />}</Guarded>
    </div>
  );
}

function Series({ desk, feed }: { desk: Desk; feed: Feed }): React.ReactElement {
  const [search, setSearch] = React.useState('');
  const now = useNow();
  const rows = React.useMemo(() => shownSeries(feed.series, search), [feed.series, search]);
  const tasks = React.useMemo(() => new Map(feed.tasks.map(task => [task.name, task])), [feed.tasks]);
  const view = useWindow(rows.length, ROW_HEIGHT);
  const walk = useWalk(view.first, view.last);
  if (!feed.tasks.length) {
    return <p className="tsf-note">{t('There is no task yet. New task makes one from a preset.')}</p>;
  }
  return (
    <>
      <Summary feed={feed} now={now} />
      <SearchBox label={t('Search series')} value={search} onChange={setSearch} />
      {rows.length === 0 && (
        <p className="tsf-note">
          {feed.series.length ? t('Nothing matches.') : t('No forecast yet: run a task in the table of tasks.')}
        </p>
      )}
      <div className="tsf-scroll" ref={view.ref}>
        <ul className="tsf-series" style={{ paddingTop: view.before, paddingBottom: view.after }}>
          {rows.slice(view.first, view.last).map((row, i) => (
            <li
              key={`${row.task} ${row.row}`}
              style={{ height: ROW_HEIGHT }}
              aria-setsize={rows.length}
              aria-posinset={view.first + i + 1}
            >
              <Entry
                row={row}
                task={tasks.get(row.task)}
                now={now}
                walked={walk(view.first + i)}
                open={() => desk.open({ page: 'dashboard', task: row.task, labels: row.labels })}
              />
            </li>
          ))}
        </ul>
      </div>
    </>
  );
}

function Entry(props: {
  row: SeriesRow;
  task?: Task;
  now: number;
  walked: Walked;
  open: () => void;
}): React.ReactElement {
  const { row, task } = props;
  return (
    <button
      type="button"
      className={row.alarm ? 'tsf-entry tsf-alarm' : 'tsf-entry'}
      {...props.walked}
      onClick={props.open}
      title={row.title}
    >
      <span className="tsf-entry-title">
        <Title text={row.title} />
      </span>
      <span className="tsf-entry-task">
        <strong>{toLimit(row)}</strong> · {row.task}
      </span>
      {row.p_breach !== null && <Bar share={row.p_breach} text={percent(row.p_breach)} />}
      {task && (
        <span className="tsf-entry-state">
          {stateWord(task.state)} · {ago(task.last_run, props.now)}
        </span>
      )}
    </button>
  );
}

function Summary({ feed, now }: { feed: Feed; now: number }): React.ReactElement {
  const running = feed.tasks.filter(task => task.state === 'running');
  const failed = feed.tasks.filter(task => task.state === 'failed');
  const newest = feed.tasks.map(task => task.last_push ?? '').reduce((a, b) => (a > b ? a : b), '');
  return (
    <div className="tsf-summary">
      <p>{t('{n} of {total} series call for an alarm', { n: alarmsOf(feed.tasks), total: feed.total })}</p>
      {feed.total > feed.series.length && <p>{t('Listed are the {n} most urgent.', { n: feed.series.length })}</p>}
      <dl>
        <dt>{t('Last forecast')}</dt>
        <dd>{ago(newest, now)}</dd>
        <dt>{t('Noise used this week')}</dt>
        <dd title={reasons(feed.tasks)}>{noiseUsed(feed.tasks)}</dd>
      </dl>
      {(running.length > 0 || failed.length > 0 || feed.busy) && (
        <p>
          {running.length > 0 && <Chip kind="running">{t('{n} running', { n: running.length })}</Chip>}{' '}
          {failed.length > 0 && <Chip kind="failed">{t('{n} failed', { n: failed.length })}</Chip>} {feed.busy}
        </p>
      )}
      {feed.troubles.map(check => (
        <p key={check.name} title={check.cure}>
          <Chip kind={check.state === 'fail' ? 'failed' : 'stale'}>{check.name}</Chip> {check.detail}
        </p>
      ))}
    </div>
  );
}
