import { generateKeyPairSync } from 'node:crypto';
import { mkdtempDisposable, readdir, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { AuditLog, readEntries, verifyAuditLog } from '@skein/coordinator';
import { expect, it } from 'vitest';
import { z } from 'zod';

import { startCluster } from '../../scripts/cluster/cluster.ts';
import { tinyModelFile } from '../../scripts/cluster/models.ts';

const completionSchema = z.looseObject({
  choices: z.array(z.looseObject({ text: z.string() })),
  usage: z.looseObject({ prompt_tokens: z.number(), completion_tokens: z.number() }),
});

it('records which machines saw a request, and no word of what was asked or answered', async () => {
  await using directory = await mkdtempDisposable(join(tmpdir(), 'skein-audit-'));
  await using model = await tinyModelFile();
  const audit = await AuditLog.open({ directory: directory.path, key: generateKeyPairSync('ed25519').privateKey });
  const prompt = 'the password of the harbour office is herring';
  let answer: z.infer<typeof completionSchema>;
  let peers: readonly string[];
  let name: string;
  {
    await using cluster = await startCluster({ peers: 2, models: [model.path], audit });
    const [held] = await (cluster.peers[0]?.store.list() ?? []);
    const deployment = await cluster.coordinator.deployments.deploy({ model: held?.model ?? '', stages: 2 });
    ({ name } = deployment);
    peers = deployment.stages.map(({ peer }) => peer);
    const response = await fetch(`${cluster.coordinator.url}/v1/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: name, prompt, max_tokens: 48, temperature: 0 }),
    });
    answer = completionSchema.parse(await response.json());
  }
  await audit.close();

  const entries = (await Array.fromAsync(readEntries(directory.path))).map(({ entry }) => entry);
  expect(entries.find((entry) => entry?.type === 'request')).toMatchObject({
    outcome: 'answered',
    model: name,
    peers,
    promptSize: prompt.length,
    promptTokens: answer.usage.prompt_tokens,
    completionTokens: answer.usage.completion_tokens,
  });
  expect(await verifyAuditLog(directory.path)).toMatchObject({ ok: true, unsealed: 0 });

  const names = await readdir(directory.path);
  const all = (await Promise.all(names.map(async (file) => await readFile(join(directory.path, file))))).join('\n');
  const text = answer.choices[0]?.text ?? '';
  expect(text.length).toBeGreaterThan(8);
  for (const secret of [prompt, 'password', 'herring', text, text.slice(0, 8)]) {
    expect(all.includes(secret), `the log holds ${JSON.stringify(secret)}`).toBe(false);
  }
});
