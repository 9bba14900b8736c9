import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { afterEach, describe, expect, it } from 'vitest';

import { CHINESE } from '../src/model/chinese';
import { ago, span } from '../src/model/format';
import { language, setLanguage, t } from '../src/model/words';

const SOURCES = join(__dirname, '..', 'src');

function said(): Set<string> {
  const files = readdirSync(SOURCES, { recursive: true, encoding: 'utf8' }).filter(name => /\.tsx?$/.test(name));
  const texts = files.map(name => readFileSync(join(SOURCES, name), 'utf8'));
  return new Set(texts.flatMap(text => [...text.matchAll(/\bt\(\s*'([^']+)'/g)].map(match => match[1])));
}

afterEach(() => setLanguage('en'));

describe('words', () => {
  it('has every sentence of the pages in Chinese, and none that nobody says', () => {
    expect([...said()].filter(text => !(text in CHINESE))).toEqual([]);
    expect(Object.keys(CHINESE).filter(text => !said().has(text))).toEqual([]);
  });

  it('keeps the values of a sentence in its translation', () => {
    const names = (text: string) => [...text.matchAll(/\{\w+\}/g)].map(match => match[0]).sort();
    for (const [english, chinese] of Object.entries(CHINESE)) {
      expect(names(chinese), english).toEqual(names(english));
    }
  });

  it.each(['zh_CN', 'zh-CN', 'zh', 'zh_Hans_CN'])('speaks Chinese for %s', code => {
    setLanguage(code);
    expect(t('Run {task}', { task: 'storage' })).toBe('运行 storage');
    expect(language()).toBe('zh-CN');
  });

  it.each(['en', 'default', 'de_DE', 'zha'])('speaks English for %s', code => {
    setLanguage(code);
    expect(t('Run {task}', { task: 'storage' })).toBe('Run storage');
  });

  it('counts time in Chinese, too', () => {
    setLanguage('zh_CN');
    expect([5, 90, 19800, 259200].map(span)).toEqual(['5 秒', '2 分钟', '5.5 小时', '3 天']);
    expect(ago('2026-11-01T09:00:00Z', Date.parse('2026-11-01T12:00:00Z'))).toBe('3 小时前');
  });

  it('leaves values alone, whatever stands in them', () => {
    expect(t('Run {task}', { task: '{n} $& <b>' })).toBe('Run {n} $& <b>');
  });
});
