import { once } from 'node:events';

import { describe, expect, it } from 'vitest';

import { SharedJobs, type JobContext } from './shared-jobs.ts';

function pendingJob() {
  const contexts: JobContext<number>[] = [];
  const results: PromiseWithResolvers<string>[] = [];
  const start = (context: JobContext<number>) => {
    contexts.push(context);
    const result = Promise.withResolvers<string>();
    results.push(result);
    return result.promise;
  };
  return { contexts, results, start };
}

describe('SharedJobs', () => {
  it('runs one job for all who ask at the same time', async () => {
    const jobs = new SharedJobs<number, string>();
    const { start, results, contexts } = pendingJob();
    const seen: string[] = [];
    const first = jobs.run('key', { onProgress: (progress) => seen.push(`first ${progress}`) }, start);
    const second = jobs.run('key', { onProgress: (progress) => seen.push(`second ${progress}`) }, start);
    contexts[0]?.report(5);
    results[0]?.resolve('done');
    expect(await Promise.all([first, second])).toEqual(['done', 'done']);
    expect(seen).toEqual(['first 5', 'second 5']);
    expect(contexts).toHaveLength(1);
  });

  it('goes on for all when the progress callback of one throws', async () => {
    const warned = once(process, 'warning');
    const jobs = new SharedJobs<number, string>();
    const { start, results, contexts } = pendingJob();
    const seen: number[] = [];
    const broken = () => {
      throw new Error('broken callback');
    };
    const first = jobs.run('key', { onProgress: broken }, start);
    const second = jobs.run('key', { onProgress: (progress) => seen.push(progress) }, start);
    contexts[0]?.report(5);
    results[0]?.resolve('done');
    expect(await Promise.all([first, second])).toEqual(['done', 'done']);
    expect(seen).toEqual([5]);
    expect(await warned).toEqual([new Error('broken callback')]);
  });

  it('goes on for the others when one gives up', async () => {
    const jobs = new SharedJobs<number, string>();
    const { start, results, contexts } = pendingJob();
    const abort = new AbortController();
    const first = jobs.run('key', { signal: abort.signal }, start);
    const second = jobs.run('key', {}, start);
    abort.abort(new Error('gave up'));
    await expect(first).rejects.toThrow('gave up');
    expect(contexts[0]?.signal.aborted).toBe(false);
    results[0]?.resolve('done');
    expect(await second).toBe('done');
  });

  it('aborts the job when the last one gives up, and starts afresh for the next', async () => {
    const jobs = new SharedJobs<number, string>();
    const { start, results, contexts } = pendingJob();
    const abort = new AbortController();
    const first = jobs.run('key', { signal: abort.signal }, start);
    abort.abort(new Error('gave up'));
    await expect(first).rejects.toThrow('gave up');
    expect(contexts[0]?.signal.aborted).toBe(true);
    const next = jobs.run('key', {}, start);
    results[0]?.reject(new Error('cancelled'));
    results[1]?.resolve('again');
    expect(await next).toBe('again');
  });

  it('passes a failure on and forgets it', async () => {
    const jobs = new SharedJobs<number, string>();
    await expect(jobs.run('key', {}, () => Promise.reject(new Error('no')))).rejects.toThrow('no');
    expect(await jobs.run('key', {}, () => Promise.resolve('yes'))).toBe('yes');
  });
});
