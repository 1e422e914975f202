import { plannedSpecSchema, type MeasuredSpeed } from '@skein/protocol';
import { expect, test } from 'vitest';

import { cardOf, peerIdOf, sha256 } from '../../testing/fixtures.ts';
import { deviceSpeed } from './device-speed.ts';
import { linksOf } from './links.ts';
import { predict } from './predict.ts';

const [ada, bob] = [peerIdOf(1), peerIdOf(2)];
const layer = { bytes: 2_216_448, count: 3_540_096 };
/** SmolLM2's output matrix in Q8_0. */
const output = { bytes: 30_081_024, count: 28_311_552 };
const measured: MeasuredSpeed = {
  backend: 'cpu',
  layerBytes: layer.bytes,
  layerWeights: layer.count,
  decodeBytesPerSecond: layer.bytes / 0.3e-3,
  prefillFlops: 30e9,
  prefillRows: 16,
};

function machine(
  peer: string,
  speeds: MeasuredSpeed[],
  links: { roundTripMs: number; bytesPerSecond: number } | undefined,
) {
  const card = cardOf({ peer });
  const others = [ada, bob].filter((other) => other !== peer);
  return {
    ...card,
    ...(card.hardware && { hardware: { ...card.hardware, speeds } }),
    ...(links && { links: others.map((other) => ({ peer: other, ...links, measuredAt: 0 })) }),
  };
}

test('a row through the output matrix takes as long as the machine has measured it as a tail, else as its layers tell', () => {
  const { hardware } = machine(ada, [], undefined);
  if (hardware === undefined) throw new Error('the fixture has hardware');
  const speedWith = (speed: MeasuredSpeed) => deviceSpeed({ ...hardware, speeds: [speed] }, 'cpu', layer);
  expect(speedWith(measured).rowNs(layer)).toBeCloseTo(0.3e6);
  expect(speedWith(measured).headNs(output)).toBeCloseTo(0.3e6 * (output.count / layer.count));
  const asTail = speedWith({ ...measured, head: { ms: 3.3, weights: output.count } });
  expect(asTail.headNs(output)).toBeCloseTo(3.3e6);
  expect(asTail.headNs({ bytes: 2 * output.bytes, count: 2 * output.count })).toBeCloseTo(6.6e6);
  expect(asTail.rowNs(layer)).toBeCloseTo(0.3e6);
});

test('a token over two stages takes their times and, each way, half a round trip, the pipes at both ends and its row', () => {
  const link = { roundTripMs: 1, bytesPerSecond: 1.2e6 };
  const cards = [
    machine(ada, [{ ...measured, pipeMs: 0.4 }], link),
    machine(bob, [{ ...measured, pipeMs: 0.2 }], link),
  ];
  const stage = (peer: string, rowNs: number, headNs = 0) => ({
    peer,
    time: { rowNs, furtherRowNs: 0, headNs, furtherHeadNs: 0, attentionNs: 0 },
    isMeasured: true,
  });
  const { oneStreamTokensPerSecond } = predict({
    stages: [stage(ada, 3e6), stage(bob, 6e6, 3e6)],
    linkOf: linksOf(cards),
    shape: { hiddenSize: 576 },
    spec: plannedSpecSchema.parse({ model: sha256('model'), contextTokens: 512, sequences: 1 }),
    microBatchRows: 63,
  });
  const hopsMs = 2 * (0.5 + 0.4 + 0.2) + (576 * 4) / 1200;
  expect(1000 / oneStreamTokensPerSecond).toBeCloseTo(0.2 + 12 + hopsMs);
});

test('a prompt takes the attention of each of its tokens to half of the others beside its way through the weights', () => {
  const predictWith = (attentionNs: number) =>
    predict({
      stages: [
        {
          peer: ada,
          time: { rowNs: 9e6, furtherRowNs: 7e6, headNs: 3e6, furtherHeadNs: 3e6, attentionNs },
          isMeasured: true,
        },
      ],
      linkOf: linksOf([machine(ada, [measured], undefined)]),
      shape: { hiddenSize: 576 },
      spec: plannedSpecSchema.parse({ model: sha256('model'), contextTokens: 1024, sequences: 1 }),
      microBatchRows: 63,
    });
  const [without, withAttention] = [predictWith(0), predictWith(1e4)];
  const chunkMs = 9 + 62 * 7;
  expect(without.prefillTokensPerSecond).toBeCloseTo((1000 * 63) / chunkMs);
  expect(withAttention.prefillTokensPerSecond).toBeCloseTo((1000 * 63) / (chunkMs + 63 * 256 * 0.01));
  expect(withAttention.ttftMs - without.ttftMs).toBeCloseTo(9 * 63 * 256 * 0.01);
  expect(withAttention.oneStreamTokensPerSecond).toBe(without.oneStreamTokensPerSecond);
});

test('pipes and links that nobody has measured count as those of a common machine on Gigabit Ethernet', () => {
  const linkOf = linksOf([
    machine(ada, [measured], undefined),
    machine(bob, [{ ...measured, pipeMs: 0.5 }], undefined),
  ]);
  expect(linkOf(ada, bob)).toEqual({ roundTripMs: 0.6, bytesPerSecond: 110e6, isMeasured: false, pipesMs: 0.6 });
});
