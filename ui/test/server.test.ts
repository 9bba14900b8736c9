import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { API_VERSION, ApiError, createApi, type Model, type Send } from '../src/model/api';
import { Poller } from '../src/model/feed';
import { differences } from '../src/model/compare';
import { pageKey, pageOfUrl } from '../src/model/pages';

const ABOUT = { name: 'tsf', version: '0.1.0', api_version: API_VERSION, project: 'fleet', root: '', links: {} };
const WELL: Record<string, unknown> = {
  '/': ABOUT,
  '/tasks?limit=10000': { items: [{ name: 'storage' }], total: 1, queue: { busy: '' } },
  '/series?limit=10000': { items: [], total: 0 },
  '/health': {
    status: 'warn',
    checked_at: null,
    checks: [
      { name: 'GPU', state: 'warn' },
      { name: 'disk', state: 'ok' }
    ]
  }
};

let asked: string[] = [];
let answers: Record<string, unknown> = {};

const send: Send = (path, init) => {
  asked.push(`${init.method} ${path} ${init.body ?? ''}`.trim());
  return path in answers
    ? Promise.resolve(Response.json(answers[path]))
    : Promise.resolve(Response.json({ message: `there is no ${path}`, reason: 'not_found' }, { status: 404 }));
};

beforeEach(() => {
  asked = [];
  answers = { ...WELL };
});

describe('the routes', () => {
  const api = createApi(send);

  it('escape names, so that a name is never a path', async () => {
    await api.cancel('../x y').catch(() => null);
    await api.model({ task: 'a/b', version: 'v' } as Model).catch(() => null);
    expect(asked).toEqual(['POST /tasks/..%2Fx%20y/cancel {}', 'GET /models/a%2Fb%3Av']);
  });

  it('leave out what was not said', async () => {
    await api.chart('a', undefined, 24).catch(() => null);
    await api.chart('a', 0, 24).catch(() => null);
    expect(asked).toEqual(['GET /tasks/a/chart?hours=24', 'GET /tasks/a/chart?row=0&hours=24']);
  });

  it('ask for a forecast of one series alone', async () => {
    await api.predict('a', { user: 'ann', area: '' }, { steps: 3, model: 'champion' }).catch(() => null);
    expect(asked).toEqual([
      'POST /predict {"task":"a","labels":{"user":"ann","area":""},"prediction_steps":3,"model":"champion"}'
    ]);
  });

  it("fail with the server's own sentence and reason", async () => {
    await expect(api.run('a')).rejects.toMatchObject({
      message: 'there is no /tasks/a/run',
      status: 404,
      reason: 'not_found'
    });
  });

  it('fail with a sentence where the answer is no JSON or there is none', async () => {
    const html = createApi(() => Promise.resolve(new Response('<h1>Bad gateway</h1>', { status: 502 })));
    await expect(html.about()).rejects.toThrow('The server answered 502.');
    const silent = createApi(() => Promise.reject(new TypeError('Failed to fetch')));
    await expect(silent.about()).rejects.toBeInstanceOf(ApiError);
    await expect(silent.about()).rejects.toMatchObject({ passes: true });
    await expect(html.about()).rejects.toMatchObject({ passes: true });
    await expect(createApi(send).run('a')).rejects.toMatchObject({ passes: false });
  });
});

describe('the feed', () => {
  const poller = (transport: Send = send, hidden = false) =>
    new Poller(
      createApi(transport),
      () => 5,
      () => hidden
    );

  it('holds tasks, series and what is not well', async () => {
    const feed = poller();
    await feed.refresh();
    const { loaded, problem, tasks, troubles } = feed.store.get();
    expect([loaded, problem, tasks.length, troubles.map(check => check.name)]).toEqual([true, null, 1, ['GPU']]);
  });

  it('knows how many series there are, also where one answer does not hold them all', async () => {
    answers['/series?limit=10000'] = { items: [{ task: 'storage' }], total: 12345 };
    const feed = poller();
    await feed.refresh();
    expect([feed.store.get().series.length, feed.store.get().total]).toEqual([1, 12345]);
  });

  it.each([
    ['missing', { '/': undefined }],
    ['version', { '/': { ...ABOUT, api_version: API_VERSION + 1 } }],
    ['project', { '/': { ...ABOUT, project: null, message: 'start it in a project' } }]
  ])('says what is wrong: %s', async (kind, change) => {
    answers = Object.fromEntries(Object.entries({ ...WELL, ...change }).filter(([, answer]) => answer !== undefined));
    const feed = poller();
    await feed.refresh();
    expect(feed.store.get().problem?.kind).toBe(kind);
  });

  it.each([
    ['forbidden', () => Promise.resolve(new Response('', { status: 403 }))],
    ['unreachable', () => Promise.reject(new TypeError('Failed to fetch'))],
    ['failed', () => Promise.resolve(new Response('', { status: 500 }))]
  ])('says what is wrong with the server: %s', async (kind, transport: Send) => {
    const feed = poller(transport);
    await feed.refresh();
    expect(feed.store.get().problem?.kind).toBe(kind);
  });

  it('keeps what it knew while the server is away, and is well again with it', async () => {
    let away = false;
    const feed = poller((path, init) => (away ? Promise.reject(new TypeError()) : send(path, init)));
    await feed.refresh();
    away = true;
    await feed.refresh();
    expect(feed.store.get()).toMatchObject({ problem: { kind: 'unreachable' }, tasks: [{ name: 'storage' }] });
    away = false;
    await feed.refresh();
    expect(feed.store.get().problem).toBeNull();
  });

  it('asks once where many ask at the same time', async () => {
    const feed = poller();
    await Promise.all([feed.refresh(), feed.refresh(), feed.refresh()]);
    expect(asked.filter(one => one === 'GET /')).toHaveLength(1);
  });

  it('rests while nobody looks', async () => {
    const feed = poller(send, true);
    await feed.refresh();
    const first = asked.length;
    await feed.refresh();
    expect([first > 0, asked.length]).toEqual([true, first]);
  });

  it('shows tasks at once while what it reads from does not answer', async () => {
    const feed = poller((path, init) => (path === '/health' ? new Promise(() => undefined) : send(path, init)));
    await feed.refresh();
    expect(feed.store.get()).toMatchObject({ loaded: true, problem: null, tasks: [{ name: 'storage' }] });
  });

  afterEach(() => vi.useRealTimers());

  it('asks again within a minute, though its machine slept for a night in the middle of a question', async () => {
    vi.useFakeTimers();
    const late: Send = async (path, init) => {
      vi.setSystemTime(Date.now() + 8 * 3600 * 1000);
      return send(path, init);
    };
    poller(late).start();
    await vi.advanceTimersByTimeAsync(59000);
    expect(asked.filter(one => one === 'GET /')).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(2000);
    expect(asked.filter(one => one === 'GET /')).toHaveLength(2);
  });

  it('tells who watches, until they leave', async () => {
    const feed = poller();
    let told = 0;
    const leave = feed.store.subscribe(() => told++);
    await feed.refresh();
    leave();
    await feed.refresh();
    expect(told).toBe(1);
  });
});

describe('pages', () => {
  it('have one tab each, reports and editors one for each task', () => {
    expect(pageKey({ page: 'dashboard', task: 'a' })).toBe(pageKey({ page: 'dashboard', task: 'b' }));
    expect(pageKey({ page: 'report', task: 'a' })).not.toBe(pageKey({ page: 'report', task: 'b' }));
    expect(pageKey({ page: 'setup' })).not.toBe(pageKey({ page: 'setup', task: 'a' }));
  });

  it('open by address, known names only', () => {
    expect(pageOfUrl('?reset&tsf=dashboard:storage')).toEqual({ page: 'dashboard', task: 'storage' });
    expect(pageOfUrl('?tsf=tasks')).toEqual({ page: 'tasks' });
    expect([pageOfUrl('?tsf=__proto__'), pageOfUrl('?tsf='), pageOfUrl('')]).toEqual([null, null, null]);
  });
});

describe('differences', () => {
  it('are the rows in which two cards are not the same, nested ones by dotted names', () => {
    const cards = [
      { params: { epochs: 5, seed: 1 }, dims: ['a', 'b'] },
      { params: { epochs: 9, seed: 1 }, dims: ['a', 'b'], note: 'x' }
    ];
    expect(differences(cards, true)).toEqual([
      ['params.epochs', '5', '9'],
      ['note', '–', 'x']
    ]);
    expect(differences([cards[0]], false)).toEqual([
      ['params.epochs', '5'],
      ['params.seed', '1'],
      ['dims', 'a, b']
    ]);
  });
});
