/** Why a series is forecast as it is; asked for when somebody opens it, as the forecast is made anew for it. */

import * as React from 'react';

import type { Desk } from '../desk';
import type { Chart, Labels } from '../model/api';
import { amount, momentInZone } from '../model/format';
import { heaviest } from '../model/reasons';
import { t } from '../model/words';
import { useAsked } from './common';

const SHOWN = 8;

/** labels: those that no other series of the task has. */
type Shown = { desk: Desk; chart: Chart; labels: Labels };

export function Why({ desk, chart, labels }: Shown): React.ReactElement {
  const [open, setOpen] = React.useState(false);
  return (
    <details className="tsf-numbers" onToggle={event => setOpen(event.currentTarget.open)}>
      <summary>{t('Why it is forecast so')}</summary>
      {open && <Reasons key={`${chart.task} ${chart.row}`} desk={desk} chart={chart} labels={labels} />}
    </details>
  );
}

function Reasons({ desk, chart, labels }: Shown): React.ReactElement {
  const { value, error } = useAsked(() => desk.api.explain(chart.task, labels), String(chart.forecast?.origin));
  if (error || !value) {
    return <p className="tsf-note">{error ?? t('Loading…')}</p>;
  }
  const from = momentInZone(Date.parse(value.origin ?? '') / 1000, chart.time_zone);
  return (
    <table className="tsf-table">
      <caption>
        {t('How far the median moves without a part of the past or an input; forecast from {time} by {model}', {
          time: from,
          model: value.model.name
        })}
      </caption>
      <thead>
        <tr>
          <th scope="col">{t('Without')}</th>
          <th scope="col" className="tsf-number">
            {t('The median moves by')}
          </th>
        </tr>
      </thead>
      <tbody>
        {heaviest(value, SHOWN).map(one => (
          <tr key={one.without}>
            <th scope="row">{one.without}</th>
            <td className="tsf-number">{amount(one.movesBy, value.unit)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
