/** The alert rules of a task: what Prometheus is to be given, and the cases that promtool tests it by. */

import * as React from 'react';

import type { Desk, Page } from '../desk';
import type { Rules } from '../model/api';
import type { Store } from '../model/store';
import { t } from '../model/words';
import { act, useAsked, useStore } from './common';

export function RulesPage({ desk, page }: { desk: Desk; page: Store<Page> }): React.ReactElement {
  const { task = '' } = useStore(page);
  const feed = useStore(desk.feed.store);
  const pushed = feed.tasks.find(one => one.name === task)?.last_push ?? ''; // a push writes them anew
  const { value, error, again } = useAsked(() => desk.api.rules(task), task, pushed);
  const write = async () => {
    await act(desk, () => desk.api.writeRules(task), t('The alert rules of {task} are written', { task }));
    again();
  };
  return (
    <div className="tsf-page tsf-scroll-page">
      <div className="tsf-buttons">
        <h1>{t('Alert rules of {task}', { task })}</h1>
        <button type="button" className="tsf-button" onClick={() => void write()}>
          {t('Write anew')}
        </button>
        {value && <Export desk={desk} rules={value} />}
      </div>
      {!value && <p className="tsf-note">{error ?? t('Loading…')}</p>}
      {value && <Texts rules={value} />}
    </div>
  );
}

function Export({ desk, rules }: { desk: Desk; rules: Rules }): React.ReactElement {
  const copy = () =>
    navigator.clipboard.writeText(rules.rules).then(
      () => desk.notify(t('Copied'), 'success'),
      () => desk.notify(t('The browser does not let a page copy here: use Download.'), 'error')
    );
  return (
    <>
      <a
        className="tsf-button tsf-primary"
        download={`${rules.task}.yml`}
        href={`data:application/yaml;charset=utf-8,${encodeURIComponent(rules.rules)}`}
      >
        {t('Download')}
      </a>
      <button type="button" className="tsf-button" onClick={() => void copy()}>
        {t('Copy')}
      </button>
    </>
  );
}

function Texts({ rules }: { rules: Rules }): React.ReactElement {
  return (
    <>
      <p className="tsf-note">
        {t('Name {path} in rule_files of Prometheus. To test it: promtool test rules {tests}', {
          path: rules.path ?? `rules/${rules.task}.yml`,
          tests: rules.tests_path ?? `rules/tests/${rules.task}.yml`
        })}
      </p>
      <Text label={t('Alert rules of {task}', { task: rules.task })}>{rules.rules}</Text>
      <details className="tsf-numbers">
        <summary>{t('Cases for promtool')}</summary>
        <Text label={t('Cases for promtool')}>{rules.tests}</Text>
      </details>
    </>
  );
}

function Text({ label, children }: { label: string; children: string }): React.ReactElement {
  return (
    // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- what scrolls must be reached by the keyboard
    <pre className="tsf-log tsf-rules" tabIndex={0} role="region" aria-label={label}>
      {children}
    </pre>
  );
}
