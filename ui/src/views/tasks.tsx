/** The table of tasks: what state each is in, and what can be done with it. */

import { deleteIcon, editIcon, refreshIcon, runIcon, stopIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import type { Desk } from '../desk';
import { chartIcon, logIcon, modelIcon, reportIcon } from '../icons';
import type { Run, Task } from '../model/api';
import { ago, amount, percent, span, toLimit } from '../model/format';
import { actionsOf, shownTasks, type TaskColumn } from '../model/rows';
import { t } from '../model/words';
import { act, Bar, Chip, Guarded, IconButton, LongTable, SearchBox, Title, useNow, type Column } from './common';

const ROW_HEIGHT = 72; // a state and three lines of what failed

const STATES: Record<Task['state'], () => string> = {
  new: () => t('new'),
  pending: () => t('pending'),
  running: () => t('running'),
  completed: () => t('completed'),
  failed: () => t('failed'),
  cancelled: () => t('cancelled'),
  stale: () => t('stale')
};

export function stateWord(state: Task['state']): string {
  return STATES[state]();
}

export function TasksPage({ desk }: { desk: Desk }): React.ReactElement {
  return (
    <div className="tsf-page">
      <h1>{t('Tasks')}</h1>
      <Guarded desk={desk}>{feed => <Table desk={desk} tasks={feed.tasks} busy={feed.busy} />}</Guarded>
    </div>
  );
}

function Table({ desk, tasks, busy }: { desk: Desk; tasks: readonly Task[]; busy: string }): React.ReactElement {
  const [search, setSearch] = React.useState('');
  const [sort, setSort] = React.useState<{ column: TaskColumn; down: boolean }>({ column: 'urgency', down: false });
  const now = useNow();
  const rows = React.useMemo(() => shownTasks(tasks, search, sort.column, sort.down), [tasks, search, sort]);
  const sorting = (column: TaskColumn) => ({
    active: sort.column === column,
    down: sort.down,
    toggle: () => setSort({ column, down: sort.column === column && !sort.down })
  });
  const columns: Column<Task>[] = [
    {
      key: 'name',
      title: t('Task'),
      width: 'var(--tsf-name)',
      cell: task => <Name task={task} />,
      sort: sorting('name')
    },
    {
      key: 'state',
      title: t('State'),
      width: 'var(--tsf-state)',
      cell: task => <State desk={desk} task={task} />,
      sort: sorting('state')
    },
    { key: 'limit', title: t('Limit reached'), cell: task => <Urgency task={task} />, sort: sorting('urgency') },
    {
      key: 'chance',
      title: t('Chance'),
      width: 'var(--tsf-narrow)',
      cell: ({ urgency }) =>
        typeof urgency?.p_breach === 'number' && <Bar share={urgency.p_breach} text={percent(urgency.p_breach)} />,
      sort: sorting('chance')
    },
    {
      key: 'run',
      title: t('Last run'),
      width: 'var(--tsf-narrow)',
      cell: task => ago(task.last_run, now),
      sort: sorting('run')
    },
    {
      key: 'actions',
      title: t('Actions'),
      width: 'var(--tsf-actions)',
      kind: 'actions',
      cell: task => <Actions desk={desk} task={task} />
    }
  ];
  return (
    <>
      <div className="tsf-buttons">
        <button type="button" className="tsf-button tsf-primary" onClick={() => desk.open({ page: 'setup' })}>
          {t('New task')}
        </button>
        <SearchBox label={t('Search tasks')} value={search} onChange={setSearch} />
        <span className="tsf-count" role="status">
          {t('{n} of {total} tasks', { n: rows.length, total: tasks.length })}
          {busy && ` · ${busy}`}
        </span>
      </div>
      {tasks.length === 0 && <p className="tsf-note">{t('There is no task yet. New task makes one from a preset.')}</p>}
      <LongTable label={t('Tasks')} rows={rows} columns={columns} rowHeight={ROW_HEIGHT} keyOf={task => task.id} />
    </>
  );
}

function Name({ task }: { task: Task }): React.ReactElement {
  return (
    <>
      <span className="tsf-strong" title={task.name}>
        {task.name}
      </span>
      <span className="tsf-soft" title={task.metric_query}>
        {task.user || t('no owner')} · {task.metric_query}
      </span>
    </>
  );
}

function Urgency({ task }: { task: Task }): React.ReactElement {
  const { urgency } = task;
  if (!urgency || task.limit === null) {
    return <span className="tsf-soft">{task.limit === null ? t('no limit') : t('no forecast yet')}</span>;
  }
  return (
    <>
      <span>{toLimit({ ...urgency, limit: task.limit })}</span>
      <span className="tsf-soft" title={urgency.series}>
        {t('{likely} of {total} in alarm', { likely: urgency.likely, total: urgency.total })} ·{' '}
        <Title text={urgency.series} />
      </span>
    </>
  );
}

function State({ desk, task }: { desk: Desk; task: Task }): React.ReactElement {
  const { run } = task;
  const notebook = task.failed_notebook;
  return (
    <>
      <Chip kind={task.state} title={task.error || undefined}>
        {run?.cancelling ? t('being cancelled') : stateWord(task.state)}
        {run?.state === 'pending' && run.position ? ` · ${t('place {n}', { n: run.position })}` : ''}
      </Chip>
      {run && task.state === 'running' && <Progress run={run} />}
      {task.state === 'stale' && <span className="tsf-soft">{t('settings changed since its last run')}</span>}
      {task.state === 'failed' && notebook && (
        <button type="button" className="tsf-link" onClick={() => desk.openNotebook(notebook, task.failed_cell)}>
          {t('open the cell that failed')}
        </button>
      )}
      {task.error && (
        <span className="tsf-lines tsf-error" title={task.error}>
          {task.error}
        </span>
      )}
    </>
  );
}

function Progress({ run }: { run: Run }): React.ReactElement {
  const { progress } = run;
  if (!progress?.stage) {
    return <span className="tsf-soft">{t('starting')}</span>;
  }
  const parts: string[] = [progress.stage];
  if (progress.epoch && progress.epochs) {
    parts.push(t('epoch {epoch} of {epochs}', { epoch: progress.epoch, epochs: progress.epochs }));
  } else if (progress.cell && progress.cells) {
    parts.push(t('cell {cell} of {cells}', { cell: progress.cell, cells: progress.cells }));
  }
  if (typeof progress.validation_loss === 'number') {
    parts.push(t('loss {loss}', { loss: progress.validation_loss.toPrecision(3) }));
  }
  if (typeof progress.seconds_left === 'number') {
    parts.push(t('{span} left at most', { span: span(progress.seconds_left) }));
  }
  if (progress.gpu_memory_bytes) {
    parts.push(t('GPU {amount}', { amount: amount(progress.gpu_memory_bytes, 'bytes') }));
  }
  const done = (progress.stages_done ?? 0) + (progress.epoch && progress.epochs ? progress.epoch / progress.epochs : 0);
  return (
    <>
      <progress aria-label={t('progress of {task}', { task: run.task })} value={done} max={progress.stages ?? 4} />
      <span className="tsf-lines" title={parts.join(' · ')}>
        {parts.join(' · ')}
      </span>
    </>
  );
}

function Actions({ desk, task }: { desk: Desk; task: Task }): React.ReactElement {
  const can = actionsOf(task);
  const name = { task: task.name };
  const report = (['push', 'evaluate', 'train', 'fetch'] as const).find(stage => `report_${stage}` in task.links);
  return (
    <>
      {can.run && (
        <IconButton
          icon={runIcon}
          label={t('Run {task}', name)}
          onClick={() => void act(desk, () => desk.api.run(task.name), t('{task} is queued', name))}
        />
      )}
      {can.cancel && (
        <IconButton
          icon={stopIcon}
          label={t('Cancel {task}', name)}
          onClick={() => void act(desk, () => desk.api.cancel(task.name), t('{task} is being cancelled', name))}
        />
      )}
      {can.retry && (
        <IconButton
          icon={refreshIcon}
          label={t('Retry {task}', name)}
          onClick={() => void act(desk, () => desk.api.retry(task.name), t('{task} is queued', name))}
        />
      )}
      <IconButton
        icon={chartIcon}
        label={t('Predict {task}', name)}
        disabled={!can.predict}
        onClick={() => desk.open({ page: 'dashboard', task: task.name })}
      />
      <IconButton
        icon={reportIcon}
        label={t('Report of {task}', name)}
        disabled={!report}
        onClick={() => desk.open({ page: 'report', task: task.name, stage: report })}
      />
      <IconButton
        icon={modelIcon}
        label={t('Models of {task}', name)}
        onClick={() => desk.open({ page: 'models', task: task.name })}
      />
      <IconButton
        icon={logIcon}
        label={t('Log of {task}', name)}
        disabled={!task.run}
        onClick={() => desk.open({ page: 'log', run: task.run?.id })}
      />
      <IconButton
        icon={editIcon}
        label={t('Edit {task}', name)}
        onClick={() => desk.open({ page: 'setup', task: task.name })}
      />
      <IconButton icon={deleteIcon} label={t('Delete {task}', name)} onClick={() => void remove(desk, task)} />
    </>
  );
}

async function remove(desk: Desk, task: Task): Promise<void> {
  const name = { task: task.name };
  const agreed = await desk.confirm(
    t('Delete {task}?', name),
    t('What runs is cancelled and what was pushed is taken back. Models and reports stay on disk.'),
    t('Delete')
  );
  if (agreed) {
    await act(desk, () => desk.api.remove(task.name), t('{task} is deleted', name));
  }
}
