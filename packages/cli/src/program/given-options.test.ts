import { Command } from 'commander';
import { expect, test } from 'vitest';

import { label, repeated, wholeNumbers } from './arguments.ts';
import { givenOptions } from './given-options.ts';

test('returns what was typed, to be typed again', () => {
  const command = new Command('up')
    .option('--label <key=value>', 'repeated', label)
    .option('--listen <multiaddr>', 'repeated', repeated)
    .option('--layers <counts>', 'a list', wholeNumbers)
    .option('--pin', 'a switch')
    .option('--json', 'not to be typed again');
  const words = ['--label', 'zone=eu', '--label', 'room=the attic', '--listen', '/a', '--layers', '17,13', '--pin'];
  command.parse([...words, '--json'], { from: 'user' });
  expect(givenOptions(command, { except: ['--json'] })).toEqual(
    words.map((word) => (word.includes(' ') ? "'room=the attic'" : word)),
  );
});
