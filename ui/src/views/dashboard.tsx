/** The dashboard: one series at a time with its limit, its forecast, alarms and breaches; the others beside it. */

import * as React from 'react';

import type { Desk, Page } from '../desk';
import type { Chart, Labels, Prediction, SeriesRow, Task } from '../model/api';
import type { Feed } from '../model/feed';
import { amount, momentInZone, percent, span, toLimit } from '../model/format';
import { chanceCurves, lastOf, predicted, seriesCurves, type Forecast } from '../model/curves';
import { actionsOf, exactly, labelsText, sameLabels, shownSeries } from '../model/rows';
import type { Store } from '../model/store';
import { t } from '../model/words';
import {
  act,
  Bar,
  Chip,
  Choice,
  Guarded,
  NoTask,
  SearchBox,
  Title,
  useAsked,
  useStore,
  useWalk,
  useWindow
} from './common';
import { Figure, type Mark } from './figure';
import { stateWord } from './tasks';
import { Why } from './why';

const ROW_HEIGHT = 56;
const PROBABILITY = [0, 100] as const;
const HOURS = [24, 48, 168, 336, 720];

export function DashboardPage({ desk, page }: { desk: Desk; page: Store<Page> }): React.ReactElement {
  return (
    <div className="tsf-page tsf-dashboard">
      <Guarded desk={desk}>{feed => <Dashboard desk={desk} feed={feed} page={page} />}</Guarded>
    </div>
  );
}

function Dashboard({ desk, feed, page }: { desk: Desk; feed: Feed; page: Store<Page> }): React.ReactElement {
  const shown = useStore(page);
  const preferences = useStore(desk.preferences);
  const [hours, setHours] = React.useState(preferences.hours);
  const task = shown.task === undefined ? feed.tasks[0] : feed.tasks.find(one => one.name === shown.task);
  const rows = React.useMemo(() => feed.series.filter(row => row.task === task?.name), [feed.series, task?.name]);
  if (!task) {
    return <NoTask name={shown.task} tasks={feed.tasks} choose={name => page.set({ page: 'dashboard', task: name })} />;
  }
  const labels = shown.labels;
  const row = labels ? rows.find(one => sameLabels(one.labels, labels)) : rows[0];
  const known = rows.length > 0 || task.urgency !== null; // else the server says why there is nothing
  const choices = [...new Set([...HOURS, preferences.hours])].sort((a, b) => a - b);
  return (
    <>
      <div className="tsf-buttons">
        <h1>{t('Dashboard')}</h1>
        <Choice
          label={t('Task')}
          value={task.name}
          options={feed.tasks.map(one => [one.name, one.name])}
          onChange={name => page.set({ page: 'dashboard', task: name })}
        />
        <Choice
          label={t('History')}
          value={String(hours)}
          options={choices.map(one => [String(one), span(3600 * one)])}
          onChange={value => setHours(Number(value))}
        />
      </div>
      {task.state === 'failed' && (
        <p className="tsf-problem">
          <Chip kind="failed">{stateWord('failed')}</Chip> {task.error}
        </p>
      )}
      <div className="tsf-split">
        {rows.length > 0 && (
          <Picker
            rows={rows}
            total={task.urgency?.total ?? 0}
            row={row?.row}
            pick={one => page.set({ page: 'dashboard', task: task.name, labels: one.labels })}
          />
        )}
        {labels && !row && known ? (
          <Gone labels={labels} task={task} listed={rows.length} />
        ) : (
          <SeriesView key={task.name} desk={desk} task={task} row={row} rows={rows} hours={hours} />
        )}
      </div>
    </>
  );
}

function Picker(props: {
  rows: readonly SeriesRow[];
  total: number;
  row?: number;
  pick: (row: SeriesRow) => void;
}): React.ReactElement {
  const [search, setSearch] = React.useState('');
  const found = React.useMemo(() => shownSeries(props.rows, search), [props.rows, search]);
  const view = useWindow(found.length, ROW_HEIGHT);
  const current = found.findIndex(one => one.row === props.row);
  const walk = useWalk(view.first, view.last, Math.max(0, current));
  return (
    <nav className="tsf-picker" aria-label={t('Series')}>
      <SearchBox label={t('Search series')} value={search} onChange={setSearch} />
      {props.total > props.rows.length && <p>{t('Listed are the {n} most urgent.', { n: props.rows.length })}</p>}
      <div className="tsf-scroll" ref={view.ref}>
        <ul className="tsf-series" style={{ paddingTop: view.before, paddingBottom: view.after }}>
          {found.slice(view.first, view.last).map((one, i) => (
            <li
              key={one.row}
              style={{ height: ROW_HEIGHT }}
              aria-setsize={found.length}
              aria-posinset={view.first + i + 1}
            >
              <button
                type="button"
                className="tsf-entry"
                aria-current={one.row === props.row ? 'true' : undefined}
                title={one.title}
                {...walk(view.first + i)}
                onClick={() => props.pick(one)}
              >
                <span className="tsf-entry-title">
                  <Title text={one.title} />
                </span>
                <span className="tsf-entry-when">{toLimit(one)}</span>
                {one.p_breach !== null && <Bar share={one.p_breach} text={percent(one.p_breach)} />}
              </button>
            </li>
          ))}
        </ul>
      </div>
    </nav>
  );
}

/** What was chosen once and is in the list no more: no other series may stand in its place. */
function Gone({ labels, task, listed }: { labels: Labels; task: Task; listed: number }): React.ReactElement {
  const series = labelsText(labels);
  return (
    <section className="tsf-main" aria-label={t('Series')}>
      <p className="tsf-note">
        {(task.urgency?.total ?? 0) > listed
          ? t('{series} is not among the {n} most urgent that are listed. Choose another series.', {
              series,
              n: listed
            })
          : t('{series} is no longer in the forecast of {task}. Choose another series.', { series, task: task.name })}
      </p>
    </section>
  );
}

function SeriesView(props: {
  desk: Desk;
  task: Task;
  row?: SeriesRow;
  rows: readonly SeriesRow[];
  hours: number;
}): React.ReactElement {
  const { desk, task, row, rows, hours } = props;
  const [prediction, setPrediction] = React.useState<Prediction | null>(null);
  const series = JSON.stringify([task.name, row?.labels]);
  const news = `${row?.row} ${hours} ${task.last_push} ${task.last_run}`;
  React.useEffect(() => setPrediction(null), [task.last_push]); // what was pushed since is newer
  const { value: chart, error } = useAsked(() => desk.api.chart(task.name, row?.row, hours), series, news);
  const labels = React.useMemo(() => chart && exactly(chart.labels, rows), [chart, rows]);
  const fresh = React.useMemo(
    () => (chart && prediction ? predicted(prediction, chart.labels) : null), // of another series there may be one
    [chart, prediction]
  );
  return (
    <section className="tsf-main" aria-label={t('Series')}>
      <Predict
        desk={desk}
        task={task}
        labels={labels}
        zone={chart?.time_zone}
        prediction={fresh && prediction}
        setPrediction={setPrediction}
      />
      {!chart && <p className="tsf-note">{error ?? t('Loading…')}</p>}
      {chart && <Charts chart={chart} forecast={fresh ?? chart.forecast} />}
      {chart?.forecast && labels && <Why desk={desk} chart={chart} labels={labels} />}
    </section>
  );
}

function Charts({ chart, forecast }: { chart: Chart; forecast: Forecast | null }): React.ReactElement {
  const curves = React.useMemo(() => seriesCurves(chart, forecast), [chart, forecast]);
  const chances = React.useMemo(() => chanceCurves(forecast), [forecast]);
  const marks = React.useMemo(() => marksOf(chart), [chart]);
  return (
    <>
      <h2>
        <Title text={chart.title} />
      </h2>
      <Verdict chart={chart} forecast={forecast} />
      <Figure
        title={t('Use, limit and forecast')}
        curves={curves}
        unit={chart.unit}
        zone={chart.time_zone}
        height={300}
        marks={marks}
      />
      {chances.length > 0 && (
        <Figure
          title={t('Chance that the limit is reached by then')}
          curves={chances}
          unit="percent"
          zone={chart.time_zone}
          height={150}
          range={PROBABILITY}
        />
      )}
    </>
  );
}

function marksOf(chart: Chart): Mark[] {
  const breaches = chart.breaches.map(one => ({
    kind: 'breach' as const,
    name: t('breach'),
    start: one.start ?? 0,
    end: one.end ?? 0
  }));
  const alarms = chart.alarms.map(one => {
    const name = `${t('alarm')} ${percent(one.p_breach)} ${one.horizon ?? ''}`.trim();
    return { kind: 'alarm' as const, name, start: one.time ?? 0, end: one.time ?? 0 };
  });
  return [...breaches, ...alarms];
}

function Verdict({ chart, forecast }: { chart: Chart; forecast: Forecast | null }): React.ReactElement {
  const used = lastOf(chart.actual);
  const limit = chart.limit && lastOf(chart.limit);
  const level = chart.level && lastOf(chart.level);
  const chance = (forecast?.p_breach && lastOf(forecast.p_breach)) ?? null;
  const reached = forecast?.limit_time ? Date.parse(forecast.limit_time) / 1000 : null;
  const left = used !== null && level !== null && used >= level ? 0 : null;
  const expected = reached === null ? null : momentInZone(reached, chart.time_zone);
  const prospect = { limit, p_breach: chance, seconds_to_limit: left, expected, abstained: forecast?.abstained };
  const facts = [
    [t('Used now'), amount(used, chart.unit) + (used !== null && limit ? ` (${amount(used / limit, 'ratio')})` : '')],
    [t('Limit'), limit === null ? t('no limit') : amount(limit, chart.unit)]
  ];
  if (limit !== null) {
    facts.push([t('Chance of a breach'), percent(chance)], [t('Limit reached'), toLimit(prospect)]);
  }
  if (forecast?.origin) {
    facts.push([t('Forecast from'), momentInZone(Date.parse(forecast.origin) / 1000, chart.time_zone)]);
  }
  facts.push([t('Forecast by'), forecast ? forecast.abstained || forecast.model : t('no forecast yet')]);
  return (
    <dl className="tsf-facts">
      {facts.map(([name, fact]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{fact}</dd>
        </div>
      ))}
    </dl>
  );
}

/** Forecast the series from the newest samples at once; nothing is written back. */
function Predict(props: {
  desk: Desk;
  task: Task;
  labels?: Labels;
  zone?: string;
  prediction: Prediction | null;
  setPrediction: (prediction: Prediction | null) => void;
}): React.ReactElement {
  const { desk, task, labels, prediction } = props;
  const [steps, setSteps] = React.useState('');
  const [model, setModel] = React.useState('champion');
  const [asking, setAsking] = React.useState(false);
  const can = actionsOf(task);
  const push = () => {
    const request = { stage: 'push', alone: true, force: true } as const;
    void act(desk, () => desk.api.run(task.name, request), t('{task} is queued', { task: task.name }));
  };
  const predict = async (series: Labels) => {
    setAsking(true);
    try {
      const how = { steps: steps ? Number(steps) : undefined, model };
      props.setPrediction(await desk.api.predict(task.name, series, how));
    } catch (error) {
      desk.notify((error as Error).message, 'error');
    } finally {
      setAsking(false);
    }
  };
  return (
    <form
      className="tsf-buttons"
      aria-label={t('Predict {task}', { task: task.name })}
      onSubmit={event => {
        event.preventDefault();
        if (labels) {
          void predict(labels);
        }
      }}
    >
      <label className="tsf-choice">
        <span>{t('Steps')}</span>
        <input
          type="number"
          min={1}
          step={1}
          placeholder={t('all')}
          value={steps}
          onChange={event => setSteps(event.target.value)}
        />
      </label>
      <Choice
        label={t('Model')}
        value={model}
        options={[
          ['champion', 'champion'],
          ['challenger', 'challenger']
        ]}
        onChange={setModel}
      />
      <button type="submit" className="tsf-button tsf-primary" disabled={!task.model || !labels || asking}>
        {asking ? t('Predicting…') : t('Predict now')}
      </button>
      <button
        type="button"
        className="tsf-button"
        disabled={!can.push}
        title={t('Forecast anew and write it back')}
        onClick={push}
      >
        {t('Push now')}
      </button>
      <button type="button" className="tsf-button" onClick={() => desk.open({ page: 'rules', task: task.name })}>
        {t('Alert rules')}
      </button>
      <span role="status">{prediction && <Coverage prediction={prediction} zone={props.zone} />}</span>
      {prediction && (
        <button type="button" className="tsf-link" onClick={() => props.setPrediction(null)}>
          {t('Back to the pushed forecast')}
        </button>
      )}
    </form>
  );
}

/** What stands in place of a made-up confidence: how often the interval held on windows that chose when to stop and calibrated it. */
function Coverage({ prediction, zone }: { prediction: Prediction; zone?: string }): React.ReactElement {
  const { coverage, model, origin } = prediction;
  const from = origin ? momentInZone(Date.parse(origin) / 1000, zone) : '';
  return (
    <>
      <Chip kind="completed">{t('from {time} by {model}', { time: from, model: model.name })}</Chip>{' '}
      {coverage.measured === null
        ? coverage.reason
        : t(
            'the {nominal} interval held {measured} of {n} of the newest training values, on windows that did not teach',
            {
              nominal: amount(coverage.nominal, 'ratio'),
              measured: percent(coverage.measured),
              n: coverage.n ?? 0
            }
          )}
    </>
  );
}
