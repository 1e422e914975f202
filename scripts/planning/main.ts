import { plannedSpecSchema, type Card, type ModelManifest } from '@skein/protocol';

import { plan } from '../../packages/coordinator/src/planner/index.ts';
import {
  cardOf,
  gibibyte,
  manifestOf,
  mebibyte,
  peerIdOf,
  randomNumbers,
} from '../../packages/coordinator/src/testing/fixtures.ts';
import { medianOf } from '../predictions/measure-predictions.ts';
import { runScript } from '../run-script.ts';

const usage = `Measures how long the planner takes for a model of 128 layers over 64 machines of different sizes and speeds, no one of
which holds it, with measured links.
usage: npm run planning [-- --rounds <count>] [--json]
options:
  --rounds   plans of which the median counts; default 10
  --json     print { plans: [{ sequences, stages, firstMs, medianMs, greatestMs, tokensPerSecond }] }
The exit code is 1 where a median is above 100 ms.`;

const mostMs = 100;
const peers = 64;
const layers = 128;

/** Makes the machines: 2 to 26 GiB free, 5 to 45 GB of weights a second, links of 0.2 to 2.2 ms and 20 to 120 MB a second. */
function cards(): readonly Card[] {
  const random = randomNumbers(1);
  const between = (least: number, most: number) => least + random() * (most - least);
  const ids = Array.from({ length: peers }, (_, index) => peerIdOf(index + 1));
  return ids.map((peer) => {
    const bytesPerSecond = between(5e9, 45e9);
    const card = cardOf({ peer, freeBytes: Math.floor(between(2, 26) * gibibyte) });
    const hardware = card.hardware && {
      ...card.hardware,
      memoryBytes: 32 * gibibyte,
      speeds: [
        {
          backend: 'cpu',
          layerBytes: 300 * mebibyte,
          layerWeights: 300 * mebibyte,
          decodeBytesPerSecond: bytesPerSecond,
          prefillFlops: 20 * bytesPerSecond,
          prefillRows: 16,
        },
      ],
    };
    const links = ids
      .filter((other) => other !== peer)
      .slice(0, 32)
      .map((other) => ({
        peer: other,
        roundTripMs: between(0.2, 2.2),
        bytesPerSecond: between(20e6, 120e6),
        measuredAt: 0,
      }));
    return { ...card, ...(hardware && { hardware }), links };
  });
}

function measure(snapshot: { readonly cards: readonly Card[]; readonly manifest: ModelManifest }, rounds: number) {
  return [1, 8].map((sequences) => {
    const spec = plannedSpecSchema.parse({ model: snapshot.manifest.model, contextTokens: 4096, sequences });
    const timed = Array.from({ length: rounds + 1 }, () => {
      const startedAt = performance.now();
      const made = plan(snapshot, spec);
      return { ms: performance.now() - startedAt, made };
    });
    const [first, ...others] = timed;
    const { stages, prediction } = (first as (typeof timed)[number]).made;
    const { oneStreamTokensPerSecond, saturatedTokensPerSecond } = prediction;
    return {
      sequences,
      stages: stages.length,
      firstMs: first?.ms ?? 0,
      medianMs: medianOf(others.map(({ ms }) => ms)),
      greatestMs: Math.max(...others.map(({ ms }) => ms)),
      tokensPerSecond: sequences === 1 ? oneStreamTokensPerSecond : saturatedTokensPerSecond,
    };
  });
}

await runScript({
  usage,
  numbers: { rounds: { default: 10, least: 1 } },
  async run({ rounds, json }) {
    const manifest = manifestOf({
      layers,
      layerBytes: 300 * mebibyte,
      embeddingBytes: gibibyte,
      shape: { hiddenSize: 8192, vocabularySize: 128_000, kvBytesPerTokenPerLayer: 4096 },
    });
    const plans = measure({ cards: cards(), manifest }, rounds);
    if (json) process.stdout.write(`${JSON.stringify({ plans })}\n`);
    else
      console.table(
        plans.map((one) =>
          Object.fromEntries(Object.entries(one).map(([key, value]) => [key, Math.round(10 * value) / 10])),
        ),
      );
    return plans.every(({ medianMs }) => medianMs <= mostMs) ? 0 : 1;
  },
});
