import { expect, test } from 'vitest';

import { addedMachine } from './machine-argument.ts';

const gibibyte = 1024 ** 3;

test('reads a machine with its GPUs and its link', () => {
  expect(addedMachine('name=new PC, memory=32G,gpu=RTX 4090:24G,gpu=RTX 3060:12GB,link=2.5G/0.3ms,cores=12')).toEqual({
    name: 'new PC',
    memoryBytes: 32 * gibibyte,
    cores: 12,
    gpus: [
      { name: 'RTX 4090', memoryBytes: 24 * gibibyte },
      { name: 'RTX 3060', memoryBytes: 12 * gibibyte },
    ],
    link: { roundTripMs: 0.3, bytesPerSecond: 312_500_000 },
  });
  expect(addedMachine('name=mac,memory=64GiB,cpu=Apple M4 Max,link=wifi')).toMatchObject({
    cpu: 'Apple M4 Max',
    link: { roundTripMs: 5 },
  });
  expect(addedMachine('name=a,memory=8G,label=zone=eu,label=room=attic').labels).toEqual({ zone: 'eu', room: 'attic' });
  expect(addedMachine('name=a,memory=8G,link=100M').link).toEqual({ roundTripMs: 0.6, bytesPerSecond: 12_500_000 });
});

test.each([
  ['memory=8G', /name and memory have to be given/],
  ['name=a,memory=8', /"8" is no amount of memory/],
  ['name=a,memory=0G', /no amount of memory/],
  ['name=a,memory=8G,memory=9G', /memory is given twice/],
  ['name=a,memory=8G,disk=1T', /there is no disk/],
  ['name=a,memory=8G,gpu=RTX 4090', /a GPU needs its memory/],
  ['name=a,memory=8G,link=fast', /a link is lan, wifi, or/],
  ['name=a,memory=8G,link=0G', /a link is lan, wifi, or/],
  ['name=a,memory=8G,label=zone', /a label is a short name in lower case and a value, as in label=zone=eu/],
  ['name=a,memory=8G,label=Zone=eu', /a label is a short name/],
  ['name=a,memory=8G,label=zone=eu,label=zone=us', /the label zone is given twice/],
  ['name=a,memory=8G,cores=0', /cores is a whole number/],
  ['name', /has no value/],
])('says what is wrong with %s', (text, problem) => {
  expect(() => addedMachine(text)).toThrow(problem);
});
