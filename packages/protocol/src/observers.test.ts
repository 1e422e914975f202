import { describe, expect, it } from 'vitest';

import { silentLogger } from './logger.ts';
import { isolated, Observers, toLog } from './observers.ts';

function broken(): never {
  throw new Error('broken observer');
}

describe('observers', () => {
  it('are all told, whatever one of them throws', () => {
    const observers = new Observers<[number]>();
    const told: number[] = [];
    const failures: unknown[] = [];
    observers.add(broken, (error) => failures.push(error));
    observers.add((value) => told.push(value), broken);
    observers.notify(7);
    expect(told).toEqual([7]);
    expect(failures).toEqual([new Error('broken observer')]);
  });

  it('that go on failing are reported once, and again after they were well', () => {
    let isBroken = true;
    const failures: unknown[] = [];
    const tell = isolated(
      () => (isBroken ? broken() : undefined),
      (error) => failures.push(error),
    );
    tell();
    tell();
    expect(failures).toHaveLength(1);
    isBroken = false;
    tell();
    isBroken = true;
    tell();
    expect(failures).toHaveLength(2);
  });

  it('that fail later are caught, too', async () => {
    const failed = Promise.withResolvers<unknown>();
    isolated(async () => broken(), failed.resolve)();
    expect(await failed.promise).toEqual(new Error('broken observer'));
  });

  it('are told no more once they were removed, not even by the observer before', () => {
    const observers = new Observers();
    let told = 0;
    let removeOther = (): void => undefined;
    const remove = observers.add(() => removeOther(), broken);
    removeOther = observers.add(() => (told += 1), broken);
    observers.notify();
    remove();
    observers.notify();
    expect(told).toBe(0);
  });

  it('that are added while the others are told wait for the next time', () => {
    const observers = new Observers();
    let told = 0;
    const again = (): void => {
      told += 1;
      observers.add(again, broken);
    };
    observers.add(again, broken);
    observers.notify();
    expect(told).toBe(1);
  });

  it('count each by itself, also the same callback twice', () => {
    const observers = new Observers();
    let told = 0;
    const count = (): void => void (told += 1);
    const remove = observers.add(count, broken);
    observers.add(count, broken);
    remove();
    observers.notify();
    expect(told).toBe(1);
    observers.clear();
    observers.notify();
    expect(told).toBe(1);
  });

  it('have their errors logged with what they observe', () => {
    const logged: unknown[] = [];
    const logger = { ...silentLogger, error: (fields: object, message: string) => logged.push([fields, message]) };
    isolated(broken, toLog(logger, 'the cards'))();
    expect(logged).toEqual([[{ error: new Error('broken observer') }, 'an observer of the cards failed']]);
  });
});
