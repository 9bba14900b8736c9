/** The models of a task: versions and aliases, what each is worth, where it came from, and which one is in use. */

import * as React from 'react';

import type { Desk, Page } from '../desk';
import type { Model, ModelCard, Task } from '../model/api';
import { lossCurves } from '../model/curves';
import { amount, digits, span } from '../model/format';
import { differences } from '../model/compare';
import type { Store } from '../model/store';
import { t } from '../model/words';
import { act, Chip, Choice, Guarded, NoTask, useAsked, useStore } from './common';
import { Figure } from './figure';

/** Of each measure its name, what it is, and how it is written. */
const MEASURES: [string, () => string, () => string, (value: number) => string][] = [
  ['wql', () => 'WQL', () => t('Weighted quantile loss; lower is better'), digits],
  ['mase', () => 'MASE', () => t('Mean error over that of a seasonal naive forecast; lower is better'), digits],
  [
    'coverage_80',
    () => t('Coverage'),
    () => t('Share of values inside the 80 % interval; nearer to 80 % is better'),
    value => amount(value, 'ratio')
  ]
];

export function ModelsPage({ desk, page }: { desk: Desk; page: Store<Page> }): React.ReactElement {
  const shown = useStore(page);
  return (
    <div className="tsf-page tsf-scroll-page">
      <Guarded desk={desk}>
        {({ tasks }) => {
          const task = shown.task === undefined ? tasks[0] : tasks.find(one => one.name === shown.task);
          return (
            <>
              <div className="tsf-buttons">
                <h1>{t('Models')}</h1>
                {task && (
                  <Choice
                    label={t('Task')}
                    value={task.name}
                    options={tasks.map(one => [one.name, one.name])}
                    onChange={name => page.set({ page: 'models', task: name })}
                  />
                )}
              </div>
              {task ? (
                <Versions key={task.name} desk={desk} task={task} />
              ) : (
                <NoTask name={shown.task} tasks={tasks} choose={name => page.set({ page: 'models', task: name })} />
              )}
            </>
          );
        }}
      </Guarded>
    </div>
  );
}

function Versions({ desk, task }: { desk: Desk; task: Task }): React.ReactElement {
  const { value, error, again } = useAsked(
    () => desk.api.models(task.name),
    task.name,
    `${task.model} ${task.last_run}`
  );
  const [picked, setPicked] = React.useState<string[]>([]);
  const models = value?.items ?? [];
  const chosen = models.filter(one => picked.includes(one.version));
  const focus = chosen.length ? chosen : models.slice(0, 1);
  const change = async (doing: () => Promise<ModelCard>, done: (model: ModelCard) => string) => {
    await act(desk, doing, done);
    again();
  };
  if (!models.length) {
    return <p className="tsf-note">{error ?? (value ? t('There is no model yet: run the task.') : t('Loading…'))}</p>;
  }
  return (
    <>
      <div className="tsf-buttons">
        <button
          type="button"
          className="tsf-button"
          onClick={() =>
            void change(
              () => desk.api.rollback(task.name, 'champion'),
              model => t('{model} is the champion of {task} again', { model: model.name, task: task.name })
            )
          }
        >
          {t('Roll back the champion')}
        </button>
        <span className="tsf-soft">{t('Mark two versions to compare them.')}</span>
      </div>
      <div className="tsf-wide">
        <table className="tsf-table">
          <caption>{t('Versions')}</caption>
          <thead>
            <tr>
              <th scope="col">{t('Compare')}</th>
              <th scope="col">{t('Name')}</th>
              <th scope="col">{t('Aliases')}</th>
              <th scope="col">{t('Type')}</th>
              <th scope="col" className="tsf-number">
                {t('Weights')}
              </th>
              {MEASURES.map(([key, name, meaning]) => (
                <th scope="col" key={key} className="tsf-number">
                  <abbr title={meaning()}>{name()}</abbr>
                </th>
              ))}
              <th scope="col">{t('Actions')}</th>
            </tr>
          </thead>
          <tbody>
            {models.map(one => (
              <Version
                key={one.version}
                model={one}
                marked={picked.includes(one.version)}
                mark={on =>
                  setPicked(
                    [...picked.filter(version => version !== one.version), ...(on ? [one.version] : [])].slice(-2)
                  )
                }
                promote={alias =>
                  void change(
                    () => desk.api.promote(one, alias),
                    model => t('{model} is the {alias} of {task}', { model: model.name, alias, task: task.name })
                  )
                }
              />
            ))}
          </tbody>
        </table>
      </div>
      {focus.length > 0 && <Cards desk={desk} models={focus} />}
      <Evaluation desk={desk} task={task} />
    </>
  );
}

function Version(props: {
  model: Model;
  marked: boolean;
  mark: (on: boolean) => void;
  promote: (alias: string) => void;
}): React.ReactElement {
  const { model } = props;
  const label = model.name || model.version;
  return (
    <tr>
      <td>
        <input
          type="checkbox"
          aria-label={t('Compare {model}', { model: label })}
          checked={props.marked}
          onChange={event => props.mark(event.target.checked)}
        />
      </td>
      <th scope="row">
        {label} <span className="tsf-soft">{model.version}</span>
      </th>
      <td>
        {model.damaged && <Chip kind="failed">{t('damaged')}</Chip>}
        {model.aliases.map(alias => (
          <Chip key={alias} kind={alias === 'champion' ? 'completed' : 'pending'}>
            {alias}
          </Chip>
        ))}
      </td>
      <td>{model.model_type}</td>
      <td className="tsf-number">{model.parameters === null ? '–' : model.parameters.toLocaleString('en')}</td>
      {MEASURES.map(([key, , , text]) => {
        const value = model.metrics?.[key];
        return (
          <td key={key} className="tsf-number">
            {typeof value === 'number' ? text(value) : '–'}
          </td>
        );
      })}
      <td className="tsf-actions">
        {(['champion', 'challenger'] as const)
          .filter(alias => !model.aliases.includes(alias) && !model.damaged)
          .map(alias => (
            <button key={alias} type="button" className="tsf-button" onClick={() => props.promote(alias)}>
              {t('Make {alias}', { alias })}
              <span className="tsf-hidden"> {label}</span>
            </button>
          ))}
      </td>
    </tr>
  );
}

/** One card in full, or two side by side with what differs. */
function Cards({ desk, models }: { desk: Desk; models: Model[] }): React.ReactElement {
  const { value: cards, error } = useAsked(
    () => Promise.all(models.map(one => desk.api.model(one))),
    'cards', // each column names its model
    models.map(one => `${one.version}${one.aliases.join()}`).join(' ')
  );
  if (!cards) {
    return <p className="tsf-note">{error ?? t('Loading…')}</p>;
  }
  const two = cards.length > 1;
  const rows = differences(cards.map(facts), two);
  return (
    <div className="tsf-wide">
      <table className="tsf-table">
        <caption>{two ? t('What differs') : t('Where it came from and how it was trained')}</caption>
        <thead>
          <tr>
            <th scope="col">{t('Entry')}</th>
            {cards.map(card => (
              <th scope="col" key={card.version}>
                {card.name || card.version}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map(([name, ...values]) => (
            <tr key={name}>
              <th scope="row">{name}</th>
              {values.map((one, i) => (
                <td key={i} className="tsf-code">
                  <Fact desk={desk} task={cards[i].task} name={name} text={one} />
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
      {two && rows.length === 0 && <p className="tsf-note">{t('Nothing differs.')}</p>}
    </div>
  );
}

/** An entry as text; the executed notebook and the page of the training open. */
function Fact(props: { desk: Desk; task: string; name: string; text: string }): React.ReactElement {
  const { desk, task, name, text } = props;
  const opens: Record<string, () => void> = {
    notebook: () => desk.openNotebook(text),
    report: () => desk.open({ page: 'report', task, stage: 'train' })
  };
  if (!(name in opens) || text === '–') {
    return <>{text}</>;
  }
  return (
    <button type="button" className="tsf-link" onClick={opens[name]}>
      {text}
    </button>
  );
}

function facts(card: ModelCard): Record<string, unknown> {
  return {
    version: card.version,
    trained_until: card.trained_until,
    training: typeof card.seconds === 'number' ? span(card.seconds) : null,
    series: card.n_series,
    ...card.lineage,
    ...card.metrics,
    ...card.params
  };
}

/** How the loss grows with the horizon, beside the baselines. */
function Evaluation({ desk, task }: { desk: Desk; task: Task }): React.ReactElement | null {
  const { value } = useAsked(() => desk.api.evaluation(task.name), task.name, String(task.last_run));
  const curves = React.useMemo(() => (value ? lossCurves(value) : []), [value]);
  if (!curves.length) {
    return null;
  }
  return (
    <Figure
      title={t('Weighted quantile loss of the last evaluation, by hours ahead; lower is better')}
      curves={curves}
      unit=""
      zone="UTC"
      height={240}
      xText={seconds => t('{n} h', { n: Math.round(seconds / 360) / 10 })}
    />
  );
}
