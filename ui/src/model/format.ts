/** Numbers and times as a person reads them. Pure: the language and the present moment come as arguments. */

import { t, language } from './words';

const BINARY = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB'];

/** An amount with its unit, one of those that the server tells; bytes in powers of 1024, a ratio in hundredths. */
export function amount(value: number | null | undefined, unit: string): string {
  if (value === null || value === undefined || !Number.isFinite(value)) {
    return '–';
  }
  if (unit === 'bytes' || unit === 'bytes/s') {
    const power =
      value === 0 ? 0 : Math.min(BINARY.length - 1, Math.max(0, Math.floor(Math.log2(Math.abs(value)) / 10)));
    return `${digits(value / 1024 ** power)} ${BINARY[power]}${unit.slice('bytes'.length)}`;
  }
  if (unit === 'percent' || unit === 'ratio') {
    return `${digits(unit === 'ratio' ? 100 * value : value)} %`;
  }
  return `${digits(value)}${unit && ' ' + unit}`;
}

/** At most four significant digits, large numbers in short form: 1.5M; in British English that would read 1.5m. */
export function digits(value: number): string {
  const large = Math.abs(value) >= 1e5;
  const options: Intl.NumberFormatOptions = { maximumSignificantDigits: 4, notation: large ? 'compact' : 'standard' };
  return new Intl.NumberFormat('en-US', options).format(value);
}

/** A probability; certainty is never claimed by rounding. */
export function percent(share: number | null | undefined): string {
  if (share === null || share === undefined) {
    return '–';
  }
  if (share > 0.99 && share < 1) {
    return '>99 %';
  }
  return share > 0 && share < 0.01 ? '<1 %' : `${Math.round(100 * share)} %`;
}

/** A span in its largest fitting unit: 40 min, 5.5 h, 3 d. */
export function span(seconds: number): string {
  const fits = [86400, 3600, 60].find(size => seconds >= 2 * size);
  const size = fits ?? (seconds >= 60 ? 60 : 1);
  const n = size >= 3600 && seconds < 10 * size ? Math.round((10 * seconds) / size) / 10 : Math.round(seconds / size);
  switch (size) {
    case 86400:
      return t('{n} d', { n });
    case 3600:
      return t('{n} h', { n });
    case 60:
      return t('{n} min', { n });
    default:
      return t('{n} s', { n });
  }
}

/** What is known of a series and its limit; an entry of the server's lists of series is one. */
export interface Prospect {
  limit: number | string | null;
  /** null where nothing was forecast. */
  p_breach: number | null;
  seconds_to_limit?: number | null;
  /** The moment in words, for a page that says when and not how soon. */
  expected?: string | null;
  abstained?: string;
}

/** When the limit is reached, seen from now; "not in sight" is said only by a forecast that has looked for it. */
export function toLimit({ limit, p_breach, seconds_to_limit, expected, abstained }: Prospect): string {
  if (limit === null) {
    return t('no limit');
  }
  if (typeof seconds_to_limit === 'number') {
    return seconds_to_limit <= 0 ? t('reached') : t('in {span}', { span: span(seconds_to_limit) });
  }
  if (expected) {
    return expected;
  }
  return p_breach === null || abstained ? t('no forecast') : t('not in sight');
}

/** How long ago an ISO time was. */
export function ago(time: string | null | undefined, now: number): string {
  if (!time) {
    return t('never');
  }
  const seconds = (now - Date.parse(time)) / 1000;
  return seconds < 60 ? t('just now') : t('{span} ago', { span: span(seconds) });
}

/** A moment with its day, in `zone`; an unknown zone counts as UTC. */
export function moment(seconds: number, zone = 'UTC'): string {
  return clock(seconds, zone, { month: 'short', day: 'numeric', hour: '2-digit', minute: '2-digit' });
}

/** A moment with its day and its zone, where no axis or table says which zone is meant. */
export function momentInZone(seconds: number, zone = 'UTC'): string {
  const day: Intl.DateTimeFormatOptions = { month: 'short', day: 'numeric' };
  return clock(seconds, zone, { ...day, hour: '2-digit', minute: '2-digit', timeZoneName: 'short' });
}

/** A Unix time by the fields of `options`, in `zone`. */
export function clock(seconds: number, zone: string, options: Intl.DateTimeFormatOptions): string {
  const full: Intl.DateTimeFormatOptions = { ...options, hourCycle: options.hour ? 'h23' : undefined, timeZone: zone };
  try {
    return new Intl.DateTimeFormat(language(), full).format(1000 * seconds);
  } catch {
    return new Intl.DateTimeFormat(language(), { ...full, timeZone: 'UTC' }).format(1000 * seconds);
  }
}
