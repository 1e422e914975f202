import { Command } from 'commander';
import { expect, test } from 'vitest';

import { addScalingOptions, givenScalingFlag, scalingOptions } from './scaling-options.ts';

function parse(line: string): Command {
  const command = addScalingOptions(new Command().exitOverride().configureOutput({ writeErr: () => undefined }));
  return command.parse(line.split(' ').filter(Boolean), { from: 'user' });
}

test.each([
  ['', { replicas: undefined, idleMs: undefined, pinned: undefined }, undefined],
  ['--replicas 2', { replicas: { min: 2, max: 2 } }, '--replicas'],
  ['--replicas 1..3 --idle 90s', { replicas: { min: 1, max: 3 }, idleMs: 90_000 }, '--replicas'],
  ['--idle 30m --pin', { idleMs: 1_800_000, pinned: true }, '--idle'],
  ['--standby 1', { standby: 1 }, '--standby'],
])('reads %s', (line, request, flag) => {
  const command = parse(line);
  expect(scalingOptions(command)).toMatchObject(request);
  expect(givenScalingFlag(command)).toBe(flag);
});

test.each([
  ['--replicas 3..1', 'a range like 1..3'],
  ['--replicas 0', 'a range like 1..3'],
  ['--replicas 1..65', 'of 64 at most'],
  ['--replicas some', 'a number like 2'],
  ['--standby 5', 'from 0 to 4'],
  ['--standby some', 'from 0 to 4'],
  ['--idle soon', 'duration'],
  ['--replicas 2 --idle 30m', 'where there may be fewer'],
])('refuses %s', (line, reason) => {
  expect(() => scalingOptions(parse(line))).toThrow(reason);
});
