/** Cards of models beside each other. Pure. */

/** Rows of name and one text per card; `onlyDifferent` leaves out what is the same in all. */
export function differences(cards: readonly Record<string, unknown>[], onlyDifferent: boolean): string[][] {
  const names = [...new Set(cards.flatMap(card => Object.keys(flat(card))))];
  const rows = names.map(name => [name, ...cards.map(card => flat(card)[name] ?? '–')]);
  return onlyDifferent ? rows.filter(([, first, ...others]) => others.some(other => other !== first)) : rows;
}

/** JSON as text, numbers at the length that a person compares. */
function text(value: unknown): string {
  if (typeof value === 'number') {
    return String(Number(value.toPrecision(6)));
  }
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** Nested entries under dotted names, each as text; what is unknown is left out. */
function flat(entries: Record<string, unknown>, prefix = ''): Record<string, string> {
  return Object.fromEntries(
    Object.entries(entries).flatMap(([name, value]): [string, string][] => {
      if (value === null || value === undefined || value === '') {
        return [];
      }
      if (typeof value === 'object' && !Array.isArray(value)) {
        return Object.entries(flat(value as Record<string, unknown>, `${prefix}${name}.`));
      }
      return [[prefix + name, Array.isArray(value) ? value.map(text).join(', ') : text(value)]];
    })
  );
}
