/** The words of the pages in the person's language. English is the key; a test holds the Chinese against the sources. */

import { CHINESE } from './chinese';

let chinese = false;

/** Take the language of `code`, such as en, zh_CN or zh-Hans; any other than Chinese is English. */
export function setLanguage(code: string): void {
  chinese = /^zh\b|^zh_/i.test(code);
}

/** The language for dates. */
export function language(): string {
  return chinese ? 'zh-CN' : 'en-GB';
}

/** `text` in the person's language, its {names} replaced by `values`. */
export function t(text: string, values: Record<string, string | number> = {}): string {
  const words = (chinese && CHINESE[text]) || text;
  return words.replace(/\{(\w+)\}/g, (all, name: string) => String(values[name] ?? all));
}
