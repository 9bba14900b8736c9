/** Pieces that several pages share. */

import { LabIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import type { Desk } from '../desk';
import { ApiError, type Task } from '../model/api';
import type { Feed, Problem } from '../model/feed';
import { visibleRows } from '../model/rows';
import type { Store } from '../model/store';
import { t } from '../model/words';

/** The value of a store, followed. */
export function useStore<T>(store: Store<T>): T {
  return React.useSyncExternalStore(store.subscribe, store.get);
}

/** The present moment, renewed each half minute, for texts such as "5 min ago". */
export function useNow(): number {
  const [now, setNow] = React.useState(Date.now);
  React.useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 30000);
    return () => clearInterval(timer);
  }, []);
  return now;
}

export interface Asked<T> {
  value?: T;
  error?: string;
}

const PATIENCE_SECONDS = 5; // before a server that was away is asked again
const GRACE_MILLISECONDS = 300; // a quick answer takes the place of another without a flicker

/**
 * The answer to a question, asked anew whenever `subject` or `news` changes, and where the server is away until it is
 * back. The old answer stays until the new one is there; one about another subject gives way to nothing before.
 */
export function useAsked<T>(ask: () => Promise<T>, subject: string, news = ''): Asked<T> & { again: () => void } {
  const [asked, setAsked] = React.useState<Asked<T> & { subject?: string }>({});
  const [count, setCount] = React.useState(0);
  const latest = React.useRef(ask);
  latest.current = ask;
  React.useEffect(() => {
    let wanted = true;
    let timer = setTimeout(() => setAsked(old => (old.subject === subject ? old : {})), GRACE_MILLISECONDS);
    latest.current().then(
      value => wanted && setAsked({ value, subject }),
      (error: Error) => {
        if (wanted) {
          setAsked({ error: error.message, subject });
          if (error instanceof ApiError && error.passes) {
            timer = setTimeout(() => setCount(n => n + 1), 1000 * PATIENCE_SECONDS);
          }
        }
      }
    );
    return () => {
      wanted = false;
      clearTimeout(timer);
    };
  }, [subject, news, count]);
  return { value: asked.value, error: asked.error, again: React.useCallback(() => setCount(n => n + 1), []) };
}

/** Do something on the server, say how it went, and look anew. */
export async function act<T>(
  desk: Desk,
  doing: () => Promise<T>,
  done: string | ((value: T) => string)
): Promise<T | undefined> {
  try {
    const value = await doing();
    desk.notify(typeof done === 'string' ? done : done(value), 'success');
    return value;
  } catch (error) {
    desk.notify((error as Error).message, 'error');
    return undefined;
  } finally {
    void desk.feed.refresh();
  }
}

export function IconButton(props: {
  icon: LabIcon;
  label: string;
  onClick: () => void;
  disabled?: boolean;
}): React.ReactElement {
  return (
    <button
      type="button"
      className="tsf-icon-button"
      title={props.label}
      aria-label={props.label}
      disabled={props.disabled}
      onClick={event => {
        event.stopPropagation();
        props.onClick();
      }}
    >
      <props.icon.react tag="span" width="16px" height="16px" />
    </button>
  );
}

/** The name of a series: each of its values keeps its place, whichever way it is written. */
export function Title({ text }: { text: string }): React.ReactElement {
  return (
    <>
      {text.split(' · ').map((value, i) => (
        <React.Fragment key={i}>
          {i > 0 && ' · '}
          <bdi>{value}</bdi>
        </React.Fragment>
      ))}
    </>
  );
}

/** A state or an alias: the colour only repeats what the word says. */
export function Chip(props: { kind: string; children: React.ReactNode; title?: string }): React.ReactElement {
  return (
    <span className={`tsf-chip tsf-chip-${props.kind}`} title={props.title}>
      {props.children}
    </span>
  );
}

/** A probability as a number with a bar behind it. */
export function Bar(props: { share: number | null; text: string }): React.ReactElement {
  const share = props.share ?? 0;
  const kind = share >= 0.5 ? 'high' : share >= 0.2 ? 'some' : 'low';
  return (
    <span className="tsf-bar">
      <span className={`tsf-bar-fill tsf-bar-${kind}`} style={{ width: `${100 * share}%` }} />
      <span className="tsf-bar-text">{props.text}</span>
    </span>
  );
}

/** What is wrong and what to do about it, in the person's words. */
export function sentence(problem: Problem): string {
  const texts: Record<Problem['kind'], string> = {
    missing: t(
      'The server part of tsf is not there. Install tsf into the environment that Jupyter runs in, then start Jupyter again.'
    ),
    version: t(
      'The server runs tsf {version}, this page is of another version. Start Jupyter again, then reload the page.',
      {
        version: problem.detail
      }
    ),
    unreachable: t('The Jupyter server does not answer. It is asked again in a moment.'),
    forbidden: t('You may not use tsf on this server. Log in again, or ask who runs it.'),
    project: problem.detail || t('The server was not started in a tsf project.'),
    failed: problem.detail
  };
  return texts[problem.kind];
}

/** The page, or in its place what is missing; where older data are known, both. */
export function Guarded(props: { desk: Desk; children: (feed: Feed) => React.ReactNode }): React.ReactElement {
  const feed = useStore(props.desk.feed.store);
  if (!feed.loaded) {
    return <p className="tsf-note">{t('Loading…')}</p>;
  }
  const usable = !feed.problem || (feed.tasks.length > 0 && feed.problem.kind !== 'version');
  return (
    <>
      {feed.problem && (
        <p className="tsf-problem" role="alert">
          {sentence(feed.problem)}
        </p>
      )}
      {usable && props.children(feed)}
    </>
  );
}

/** The rows of a scrolled list that are to be drawn, and the space that the others take. */
export function useWindow(count: number, rowHeight: number) {
  const ref = React.useRef<HTMLDivElement>(null);
  const [view, setView] = React.useState({ top: 0, height: 600 });
  React.useEffect(() => {
    const node = ref.current;
    if (!node) {
      return;
    }
    const look = () => {
      const [top, height] = [node.scrollTop - (node.scrollTop % rowHeight), node.clientHeight];
      setView(old => (old.top === top && old.height === height ? old : { top, height })); // else nothing to draw
    };
    const watch = new ResizeObserver(look);
    watch.observe(node);
    node.addEventListener('scroll', look, { passive: true });
    return () => {
      watch.disconnect();
      node.removeEventListener('scroll', look);
    };
  }, [rowHeight]);
  const { first, last } = visibleRows(view.top, view.height, rowHeight, count);
  return { ref, first, last, before: first * rowHeight, after: (count - last) * rowHeight };
}

export type Walked = Pick<React.ComponentProps<'button'>, 'tabIndex' | 'onFocus' | 'onKeyDown'>;

/**
 * One entry of a long list takes part in the order of Tab, the arrows walk from it: else a keyboard would have to pass
 * thousands of them. Of the rows first … last that are drawn it is the one that had the focus last, or `current`.
 */
export function useWalk(first: number, last: number, current = 0): (index: number) => Walked {
  const [at, setAt] = React.useState<number | null>(null);
  const wanted = at ?? current;
  const stop = wanted >= first && wanted < last ? wanted : first;
  return index => ({
    tabIndex: index === stop ? 0 : -1,
    onFocus: () => setAt(index),
    onKeyDown: event => {
      const row = event.currentTarget.closest('li');
      const next = { ArrowDown: row?.nextElementSibling, ArrowUp: row?.previousElementSibling }[event.key];
      if (next) {
        event.preventDefault();
        next.querySelector('button')?.focus();
      }
    }
  });
}

export interface Column<T> {
  key: string;
  title: string;
  cell: (row: T) => React.ReactNode;
  /** Of the kind "text", "number" or "actions". */
  kind?: string;
  width?: string;
  sort?: { down: boolean; active: boolean; toggle: () => void };
}

/** A table of any length: only the rows in sight are in the page; a screen reader is told how many there are. */
export function LongTable<T>(props: {
  label: string;
  rows: readonly T[];
  columns: Column<T>[];
  rowHeight: number;
  keyOf: (row: T) => string;
}): React.ReactElement {
  const { rows, columns, rowHeight } = props;
  const view = useWindow(rows.length, rowHeight);
  return (
    // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- what scrolls must be reached by the keyboard
    <div className="tsf-scroll" ref={view.ref} tabIndex={0} role="region" aria-label={props.label}>
      <table className="tsf-table tsf-long" aria-rowcount={rows.length + 1} aria-label={props.label}>
        <thead>
          <tr aria-rowindex={1}>
            {columns.map(column => (
              <HeadCell key={column.key} column={column} />
            ))}
          </tr>
        </thead>
        <tbody>
          <tr aria-hidden="true" style={{ height: view.before }} />
          {rows.slice(view.first, view.last).map((row, i) => (
            <Row key={props.keyOf(row)} row={row} columns={columns} index={view.first + i + 2} height={rowHeight} />
          ))}
          <tr aria-hidden="true" style={{ height: view.after }} />
        </tbody>
      </table>
    </div>
  );
}

interface RowProps<T> {
  row: T;
  columns: Column<T>[];
  index: number;
  height: number;
}

/** Drawn again only when it has changed: while one scrolls, the rows that come in are all there is to draw. */
const Row = React.memo(function Row<T>({ row, columns, index, height }: RowProps<T>): React.ReactElement {
  return (
    <tr aria-rowindex={index} style={{ height }}>
      {columns.map((column, k) =>
        k === 0 ? (
          <th key={column.key} scope="row">
            {column.cell(row)}
          </th>
        ) : (
          <td key={column.key} className={`tsf-${column.kind ?? 'text'}`}>
            {column.cell(row)}
          </td>
        )
      )}
    </tr>
  );
}) as <T>(props: RowProps<T> & { key: string }) => React.ReactElement;

function HeadCell<T>({ column }: { column: Column<T> }): React.ReactElement {
  const { sort } = column;
  const order = sort?.active ? (sort.down ? 'descending' : 'ascending') : undefined;
  return (
    <th scope="col" className={`tsf-${column.kind ?? 'text'}`} style={{ width: column.width }} aria-sort={order}>
      {sort ? (
        <button type="button" className="tsf-sort" onClick={sort.toggle}>
          {column.title} <span aria-hidden="true">{sort.active ? (sort.down ? '▼' : '▲') : ''}</span>
        </button>
      ) : (
        column.title
      )}
    </th>
  );
}

export function SearchBox(props: {
  label: string;
  value: string;
  onChange: (value: string) => void;
}): React.ReactElement {
  return (
    <input
      type="search"
      className="tsf-search"
      aria-label={props.label}
      placeholder={props.label}
      value={props.value}
      onChange={event => props.onChange(event.target.value)}
    />
  );
}

export function Choice(props: {
  label: string;
  value: string;
  options: readonly (readonly [string, string])[];
  onChange: (value: string) => void;
}): React.ReactElement {
  return (
    <label className="tsf-choice">
      <span>{props.label}</span>
      <select value={props.value} onChange={event => props.onChange(event.target.value)}>
        {!props.options.some(([value]) => value === props.value) && <option value={props.value}>{props.value}</option>}
        {props.options.map(([value, text]) => (
          <option key={value} value={value}>
            {text}
          </option>
        ))}
      </select>
    </label>
  );
}

/** In place of a task that was deleted or renamed elsewhere: no other may stand where its buttons were. */
export function NoTask(props: {
  name?: string;
  tasks: readonly Task[];
  choose: (name: string) => void;
}): React.ReactElement {
  const { name, tasks } = props;
  if (!tasks.length || name === undefined) {
    return <p className="tsf-note">{t('There is no task yet. New task makes one from a preset.')}</p>;
  }
  const options = tasks.map(one => [one.name, one.name] as const);
  return (
    <>
      <p className="tsf-note">{t('There is no task {name}. Choose another.', { name })}</p>
      <div className="tsf-buttons">
        <Choice label={t('Task')} value={name} options={options} onChange={props.choose} />
      </div>
    </>
  );
}
