/** A chart in plain SVG: coloured by the theme, read by pointer or by table, and the same in any size. */

import * as React from 'react';

import { bandPath, linePath, nearest, readings, scaleOf, type Curve, type Frame, type Scale } from '../model/chart';
import { amount, moment } from '../model/format';
import { t } from '../model/words';

export interface Mark {
  kind: 'alarm' | 'breach';
  name: string;
  start: number;
  end: number;
}

interface FigureProps {
  title: string;
  curves: readonly Curve[];
  unit: string;
  zone: string;
  height: number;
  marks?: readonly Mark[];
  /** Lowest and highest value of the y axis; by default what the curves need. */
  range?: readonly [number, number];
  /** How a point of the x axis is written; a moment by default. */
  xText?: (x: number) => string;
}

export function Figure(props: FigureProps): React.ReactElement {
  const box = React.useRef<HTMLDivElement>(null);
  const [width, setWidth] = React.useState(720);
  React.useEffect(() => {
    const watch = new ResizeObserver(entries => setWidth(Math.max(280, Math.floor(entries[0].contentRect.width))));
    if (box.current) {
      watch.observe(box.current);
    }
    return () => watch.disconnect();
  }, []);
  return (
    <figure className="tsf-figure">
      <figcaption>
        {props.title}
        {!props.xText && <span className="tsf-soft"> · {t('Time ({zone})', { zone: props.zone })}</span>}
      </figcaption>
      <Legend curves={props.curves} marks={props.marks ?? []} />
      <div ref={box}>
        <Drawing {...props} width={width} />
      </div>
      <Numbers {...props} />
    </figure>
  );
}

function Drawing(props: FigureProps & { width: number }): React.ReactElement {
  const { curves, unit, zone, width, height } = props;
  const [pointed, setPointed] = React.useState<number | null>(null);
  const frame: Frame = { width, height, left: 72, right: 24, top: 10, bottom: 24 };
  const scale = React.useMemo(() => {
    const found = scaleOf(curves, frame, unit, zone, props.range);
    const { xText } = props;
    return xText ? { ...found, xTicks: found.xTicks.map(tick => ({ ...tick, label: xText(tick.at) })) } : found;
    // eslint-disable-next-line react-hooks/exhaustive-deps -- the frame follows from width and height
  }, [curves, unit, zone, width, height]);
  const said = pointed === null ? [] : readings(curves, pointed, unit, zone);
  if (said.length && props.xText && pointed !== null) {
    said[0] = props.xText(pointed);
  }
  const point = (event: React.PointerEvent<SVGSVGElement>) => {
    const seconds = scale.seconds(event.clientX - event.currentTarget.getBoundingClientRect().left);
    const times = curves.flatMap(curve => [...curve.times]).sort((a, b) => a - b);
    setPointed(times[nearest(times, seconds)] ?? null);
  };
  return (
    <div className="tsf-drawing">
      <svg
        width={width}
        height={height}
        role="img"
        aria-label={t('{title}; the numbers stand in the table below', { title: props.title })}
        onPointerMove={point}
        onPointerLeave={() => setPointed(null)}
      >
        <Axes scale={scale} frame={frame} />
        {(props.marks ?? []).map((mark, i) => (
          <MarkShape key={i} mark={mark} scale={scale} frame={frame} />
        ))}
        {curves.map((curve, i) => (
          <CurveShape key={i} curve={curve} index={i} scale={scale} />
        ))}
        {pointed !== null && (
          <line
            className="tsf-pointer"
            x1={scale.x(pointed)}
            x2={scale.x(pointed)}
            y1={frame.top}
            y2={height - frame.bottom}
          />
        )}
      </svg>
      {said.length > 0 && pointed !== null && (
        <div
          className={scale.x(pointed) > width / 2 ? 'tsf-reading tsf-left' : 'tsf-reading'}
          style={{ left: scale.x(pointed) }}
        >
          {said.map((line, i) => (
            <div key={i}>{line}</div>
          ))}
        </div>
      )}
    </div>
  );
}

function Axes({ scale, frame }: { scale: Scale; frame: Frame }): React.ReactElement {
  return (
    <g className="tsf-axes">
      {scale.yTicks.map(tick => (
        <g key={tick.at}>
          <line x1={frame.left} x2={frame.width - frame.right} y1={scale.y(tick.at)} y2={scale.y(tick.at)} />
          <text x={frame.left - 8} y={scale.y(tick.at)} dy="0.32em" textAnchor="end">
            {tick.label}
          </text>
        </g>
      ))}
      {scale.xTicks.map(tick => (
        <text key={tick.at} x={scale.x(tick.at)} y={frame.height - 6} textAnchor="middle">
          {tick.label}
        </text>
      ))}
    </g>
  );
}

function CurveShape({ curve, index, scale }: { curve: Curve; index: number; scale: Scale }): React.ReactElement {
  const path = React.useMemo(
    () =>
      curve.low ? bandPath(curve.times, curve.low, curve.values, scale) : linePath(curve.times, curve.values, scale),
    [curve, scale]
  );
  return <path className={`tsf-curve tsf-curve-${curve.kind} tsf-nth-${index % 8}`} d={path} />;
}

/** A breach is a stretch of time, an alarm a triangle at its moment. */
function MarkShape({ mark, scale, frame }: { mark: Mark; scale: Scale; frame: Frame }): React.ReactElement {
  const x = scale.x(mark.start);
  if (mark.kind === 'alarm') {
    return <path className="tsf-mark-alarm" d={`M${x},${frame.top + 10}l-6,-10h12z`} />;
  }
  const width = Math.max(3, scale.x(mark.end) - x);
  return (
    <rect
      className="tsf-mark-breach"
      x={x}
      y={frame.top}
      width={width}
      height={frame.height - frame.top - frame.bottom}
    />
  );
}

function Legend({ curves, marks }: { curves: readonly Curve[]; marks: readonly Mark[] }): React.ReactElement {
  const kinds = [...new Set(marks.map(mark => mark.kind))];
  return (
    <div className="tsf-legend" aria-hidden="true">
      {curves.map((curve, i) => (
        <span key={i}>
          <svg width="22" height="10">
            {/* Bands lie on each other in the drawing, so they do here. */}
            {curves.map(
              (below, j) =>
                (j === i || (j < i && below.low && curve.low)) && (
                  <path
                    key={j}
                    className={`tsf-curve tsf-curve-${below.kind} tsf-nth-${j % 8}`}
                    d={below.low ? 'M0,0H22V10H0Z' : 'M0,5H22'}
                  />
                )
            )}
          </svg>{' '}
          {curve.name}
        </span>
      ))}
      {kinds.map(kind => (
        <span key={kind}>
          <svg width="14" height="10">
            {kind === 'alarm' ? (
              <path className="tsf-mark-alarm" d="M7,10l-6,-10h12z" />
            ) : (
              <rect className="tsf-mark-breach" width="14" height="10" />
            )}
          </svg>{' '}
          {kind === 'alarm' ? t('alarm') : t('breach')}
        </span>
      ))}
    </div>
  );
}

/** The same numbers as a table; it is filled when somebody opens it. */
function Numbers(props: FigureProps): React.ReactElement {
  const [open, setOpen] = React.useState(false);
  return (
    <details className="tsf-numbers" onToggle={event => setOpen(event.currentTarget.open)}>
      <summary>{t('Table')}</summary>
      {open && <NumbersTable {...props} />}
    </details>
  );
}

function NumbersTable({ title, curves, unit, zone, marks = [], xText }: FigureProps): React.ReactElement {
  const indices = curves.map(curve => new Map(curve.times.map((time, i) => [time, i])));
  const times = [...new Set(curves.flatMap(curve => [...curve.times]))].sort((a, b) => b - a);
  const cell = (curve: Curve, i: number | undefined) => {
    const low = i === undefined ? undefined : curve.low?.[i];
    const high = i === undefined ? null : curve.values[i];
    return typeof low === 'number' ? `${amount(low, unit)} … ${amount(high, unit)}` : amount(high, unit);
  };
  return (
    // eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- what scrolls must be reached by the keyboard
    <div className="tsf-numbers-scroll" tabIndex={0} role="region" aria-label={title}>
      {marks.length > 0 && (
        <ul>
          {marks.map((mark, i) => (
            <li key={i}>
              {mark.name}: {moment(mark.start, zone)}
              {mark.end > mark.start && ` – ${moment(mark.end, zone)}`}
            </li>
          ))}
        </ul>
      )}
      <table className="tsf-table">
        <caption>{title}</caption>
        <thead>
          <tr>
            <th scope="col">{xText ? t('Ahead') : t('Time ({zone})', { zone })}</th>
            {curves.map((curve, i) => (
              <th scope="col" key={i} className="tsf-number">
                {curve.name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {times.map(time => (
            <tr key={time}>
              <th scope="row">{xText ? xText(time) : moment(time, zone)}</th>
              {curves.map((curve, i) => (
                <td key={i} className="tsf-number">
                  {cell(curve, indices[i].get(time))}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
