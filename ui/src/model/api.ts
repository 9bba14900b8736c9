/** What the server is asked and what it answers, in the types of its own OpenAPI document. */

import type { components } from './contract';

type Schemas = components['schemas'];
export type About = Schemas['About'];
export type Chart = Schemas['Chart'];
export type Evaluation = Schemas['Evaluation'];
export type Explanation = Schemas['Explanation'];
export type Labels = Schemas['Labels'];
export type Health = Schemas['Health'];
export type Model = Schemas['Model'];
export type ModelCard = Schemas['ModelCard'];
export type Prediction = Schemas['Prediction'];
export type Rules = Schemas['Rules'];
export type Run = Schemas['Run'];
export type RunRequest = Partial<Schemas['RunRequest']>;
export type SeriesRow = Schemas['SeriesRow'];
export type Stage = Schemas['Stage'];
export type Task = Schemas['Task'];
export type Tasks = Schemas['Tasks'];

/** The version of the contract that these pages were written for. */
export const API_VERSION = 1;

/** Entries that one request brings; the server gives no more. */
export const MOST = 10000;

/** Sends one request below /tsf/api; in JupyterLab it adds the login and the XSRF token. */
export type Send = (path: string, init: { method: string; body?: string }) => Promise<Response>;

/** A request that failed: one sentence for a person, and a word for programs. */
export class ApiError extends Error {
  constructor(
    message: string,
    readonly status: number,
    readonly reason: string
  ) {
    super(message);
  }

  /** Whether nobody of tsf has answered: the server, or what stands behind a proxy, is away for a while. */
  get passes(): boolean {
    return this.status === 0 || (this.status >= 502 && this.reason === '');
  }
}

export type Api = ReturnType<typeof createApi>;

/** The server's routes as functions; each raises ApiError. */
export function createApi(send: Send) {
  const get = <T>(path: string, query: Record<string, string | number | undefined> = {}) =>
    ask<T>(send, 'GET', path + queryText(query));
  const post = <T>(path: string, body: object = {}) => ask<T>(send, 'POST', path, body);
  const task = (name: string) => `/tasks/${encodeURIComponent(name)}`;
  return {
    about: () => get<About>('/'),
    health: () => get<Health>('/health'),
    tasks: () => get<Tasks>('/tasks', { limit: MOST }),
    series: () => get<{ items: SeriesRow[]; total: number }>('/series', { limit: MOST }),
    chart: (name: string, row: number | undefined, hours: number) => get<Chart>(`${task(name)}/chart`, { row, hours }),
    evaluation: (name: string) => get<Evaluation>(`${task(name)}/evaluation`),
    rules: (name: string) => get<Rules>(`${task(name)}/rules`),
    writeRules: (name: string) => post<Rules>(`${task(name)}/rules`),
    run: (name: string, request: RunRequest = {}) => post<Run>(`${task(name)}/run`, request),
    cancel: (name: string) => post<Run>(`${task(name)}/cancel`),
    retry: (name: string) => post<Run>(`${task(name)}/retry`),
    remove: (name: string) => ask<{ diff: string; retired?: string | null }>(send, 'DELETE', task(name)),
    predict: (name: string, labels: Labels, how: { steps?: number; model: string }) =>
      post<Prediction>('/predict', { task: name, labels, prediction_steps: how.steps, model: how.model }),
    explain: (name: string, labels: Labels) => post<Explanation>('/explain', { task: name, labels }),
    models: (name: string) => get<{ items: Model[]; total: number }>(`/models/task/${encodeURIComponent(name)}`),
    model: (one: Model) => get<ModelCard>(`/models/${modelId(one)}`),
    promote: (one: Model, alias: string) => post<ModelCard>(`/models/${modelId(one)}/promote`, { alias }),
    rollback: (name: string, alias: string) =>
      post<ModelCard>(`/models/task/${encodeURIComponent(name)}/rollback`, { alias }),
    runs: () => get<{ items: Run[]; total: number }>('/runs', { limit: 200 }),
    log: (run: number, offset: number) =>
      get<{ text: string; next_offset: number; ended: boolean }>(`/runs/${run}/log`, { offset }),
    report: (name: string, stage: string) => text(send, `/reports/${encodeURIComponent(name)}/${stage}`)
  };
}

/** Two tasks may hold the same version; with its task the name is unique. */
function modelId(one: Model): string {
  return encodeURIComponent(`${one.task}:${one.version}`);
}

function queryText(query: Record<string, string | number | undefined>): string {
  const known = Object.entries(query).filter(([, value]) => value !== undefined);
  return known.length ? '?' + known.map(([key, value]) => `${key}=${encodeURIComponent(value ?? '')}`).join('&') : '';
}

async function ask<T>(send: Send, method: string, path: string, body?: object): Promise<T> {
  const response = await trySend(send, path, { method, body: body && JSON.stringify(body) });
  const answer: unknown = await response.json().catch(() => undefined);
  if (response.ok && answer !== undefined) {
    return answer as T;
  }
  const { message, reason } = (answer ?? {}) as { message?: string; reason?: string };
  throw new ApiError(message || `The server answered ${response.status}.`, response.status, reason ?? '');
}

async function text(send: Send, path: string): Promise<string> {
  const response = await trySend(send, path, { method: 'GET' });
  if (response.ok) {
    return response.text();
  }
  const { message } = (await response.json().catch(() => ({}))) as { message?: string };
  throw new ApiError(message || `The server answered ${response.status}.`, response.status, '');
}

async function trySend(send: Send, path: string, init: { method: string; body?: string }): Promise<Response> {
  try {
    return await send(path, init);
  } catch {
    throw new ApiError('The Jupyter server does not answer.', 0, 'unreachable');
  }
}
