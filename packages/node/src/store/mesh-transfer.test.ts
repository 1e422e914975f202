import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { buffer } from 'node:stream/consumers';

import { Authority, createIdentity, createMesh, fetchManifest, type Mesh, type StreamHandler } from '@skein/mesh';
import { bytesRequestSchema, methods, shortPeer, SkeinError, type Section } from '@skein/protocol';
import { expect, test } from 'vitest';

import { temporaryDirectory } from '../sources/test-support/temporary-directory.ts';
import { ensureStageFile } from '../stage-file/index.ts';
import { verifiedSections } from '../stage-file/verified-sections.ts';
import { meshSectionSource } from './mesh-section-source.ts';
import { serveModels } from './serve-models.ts';
import { storeFixture } from './test-support/store-fixture.ts';

/** A mesh whose member `holder` serves a model. Members are named by their peer ids. */
async function meshFixture() {
  const fixture = await storeFixture();
  await fixture.store.pull(fixture.file);
  const { manifest, digest } = await fixture.store.manifest(fixture.sha256);
  const tensors = manifest.sections.filter(({ kind }) => kind === 'tensor');
  const authority = await Authority.ephemeral();
  const members: Mesh[] = [];

  /** Starts a member that knows those there are. */
  const join = async (): Promise<Mesh> => {
    const peers = members.flatMap((member) => member.addresses());
    const member = await createMesh({
      ...(await authority.enroll(['peer'])),
      roles: ['peer'],
      mdns: false,
      name: `member ${members.length}`,
      peers,
    });
    members.push(member);
    await member.start();
    return member;
  };
  /** Asks from a member that joins for it, so that it knows all the others. */
  const source = async (holders: readonly string[], chunkTimeoutMs?: number) => {
    const asking = await join();
    return meshSectionSource({ model: fixture.sha256, holders, mesh: asking, chunkTimeoutMs });
  };
  const holder = await join();
  serveModels(holder, fixture.store);
  return {
    join,
    holder: holder.peerId,
    store: fixture.store,
    manifest,
    digest,
    model: fixture.sha256,
    tensors,
    expected: Buffer.concat(tensors.map(({ offset, bytes }) => fixture.content.subarray(offset, offset + bytes))),
    /** A member that answers requests for bytes in its own way. */
    answering: async (handler: StreamHandler) => {
      const member = await join();
      member.handle(methods.bytes, handler);
      return member.peerId;
    },
    source,
    /** Makes the stage file of layers 2 to 4 from these holders. */
    cut: async (holders: readonly string[]) => {
      await using stages = await temporaryDirectory();
      const directory = stages.path;
      const { path } = await ensureStageFile({
        manifest,
        block: { from: 2, to: 4 },
        kind: 'stage',
        source: await source(holders),
        directory,
      });
      return await readFile(path);
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(members.map((member) => member.stop()));
      await fixture[Symbol.asyncDispose]();
    },
  };
}

/** The peer id of nobody. */
async function absentPeer(): Promise<string> {
  return (await createIdentity()).peerId;
}

/** Serves like the holder, but only so many chunks of each answer; then `lose`. */
function servingShortly(
  { store }: Pick<Awaited<ReturnType<typeof meshFixture>>, 'store'>,
  chunks: number,
  lose: (...call: Parameters<StreamHandler>) => Promise<void>,
): StreamHandler {
  return async (stream, remote) => {
    const { model, ranges } = bytesRequestSchema.parse((await stream.read())?.header);
    let sent = 0;
    for await (const chunk of store.readRanges(model, ranges)) {
      await stream.write({ type: 'model-bytes' }, chunk);
      if (++sent === chunks) return await lose(stream, remote);
    }
    await stream.write({ type: 'bytes-end' });
  };
}

test('serves the manifests of the models it holds', async () => {
  await using fixture = await meshFixture();
  const { model, digest, manifest, holder } = fixture;
  const asking = await fixture.join();
  const request = { digest, holders: [holder], mesh: asking };
  expect((await fetchManifest({ ...request, model })).manifest).toEqual(manifest);
  await expect(fetchManifest({ ...request, model: '0'.repeat(64) })).rejects.toThrow(
    new RegExp(`…${shortPeer(holder)}\\)?: this machine does not hold`),
  );
});

test('streams sections in the order asked for and counts their bytes', async () => {
  await using fixture = await meshFixture();
  const { holder, tensors, expected } = fixture;
  const fetching = await fixture.source([holder]);
  expect(await buffer(fetching.read(tensors, {}))).toEqual(expected);
  expect(fetching.fetchedBytes).toBe(expected.byteLength);
});

test('asks for sections that touch as one range', async () => {
  await using fixture = await meshFixture();
  const { tensors } = fixture;
  let ranges = 0;
  const counter = await fixture.answering(async (stream) => {
    const request = await stream.read();
    ranges = bytesRequestSchema.parse(request?.header).ranges.length;
  });
  const adjacent = tensors.reduce(
    (count, { offset, bytes }, index) => count + Number(tensors[index + 1]?.offset === offset + bytes),
    0,
  );
  const fetching = await fixture.source([counter]);
  await expect(buffer(fetching.read(tensors, {}))).rejects.toMatchObject({ code: 'model-unreachable' });
  expect(adjacent).toBeGreaterThan(0);
  expect(ranges).toBe(tensors.length - adjacent);
});

test('goes on with the next holder at the byte where one was lost', async () => {
  await using fixture = await meshFixture();
  const { holder, tensors, expected } = fixture;
  const arrived = Promise.withResolvers<void>();
  const cut = await fixture.answering(
    servingShortly(fixture, 1, async (stream) => {
      await arrived.promise;
      stream.abort();
    }),
  );
  const fetching = await fixture.source([await absentPeer(), cut, holder]);
  const received: Uint8Array[] = [];
  for await (const chunk of fetching.read(tensors, {})) {
    received.push(chunk);
    arrived.resolve();
  }
  expect(Buffer.concat(received)).toEqual(expected);
  // The bytes before the cut were not fetched again.
  expect(fetching.fetchedBytes).toBe(expected.byteLength);
});

test('asks a holder again that was lost after it had been of use', async () => {
  await using fixture = await meshFixture();
  const { tensors, expected } = fixture;
  let losses = 0;
  const short = await fixture.answering(
    servingShortly(fixture, 2, async () => {
      losses++;
      throw new SkeinError('peer-lost', 'gone');
    }),
  );
  const fetching = await fixture.source([short]);
  expect(await buffer(fetching.read(tensors, {}))).toEqual(expected);
  expect(losses).toBeGreaterThan(1);
});

test('gives up on a holder that stalls or sends too much', async () => {
  await using fixture = await meshFixture();
  const { holder, tensors, expected } = fixture;
  const gaveUp = Promise.withResolvers<void>();
  const silent = await fixture.answering(async (_, { signal }) => {
    await once(signal, 'abort');
    gaveUp.resolve();
  });
  const chatty = await fixture.answering(async (stream) => {
    await stream.read();
    await stream.write({ type: 'model-bytes' }, new Uint8Array(expected.byteLength + 1));
  });
  // Short enough to wait for it, and long enough for the holder that answers.
  const fetching = await fixture.source([silent, chatty, holder], 2000);
  expect(await buffer(fetching.read(tensors, {}))).toEqual(expected);
  expect(fetching.fetchedBytes).toBe(expected.byteLength);
  await gaveUp.promise;
});

test('tells the asker why ranges are refused', async () => {
  await using fixture = await meshFixture();
  const { holder, tensors } = fixture;
  const outside = { ...tensors[0], offset: 1e12 } as Section;
  const refused = buffer((await fixture.source([holder])).read([outside], {}));
  await expect(refused).rejects.toMatchObject({
    code: 'model-unreachable',
    message: expect.stringMatching(`…${shortPeer(holder)}\\)?: the ranges asked for do not fit the model`),
  });
});

test('stops when it is aborted or left', async () => {
  await using fixture = await meshFixture();
  const { holder, tensors } = fixture;
  const fetching = await fixture.source([holder]);
  const controller = new AbortController();
  const reading = (async () => {
    for await (const _ of fetching.read(tensors, { signal: controller.signal })) controller.abort();
  })();
  await expect(reading).rejects.toMatchObject({ code: 'aborted' });
  for await (const chunk of fetching.read(tensors, {})) {
    expect(chunk.byteLength).toBeGreaterThan(0);
    break;
  }
});

/** Serves what the holder has, with a bit flipped somewhere in every chunk of layers. Counts how often it is asked. */
function lying(fixture: Awaited<ReturnType<typeof meshFixture>>, onAsked: () => void): StreamHandler {
  return async (stream) => {
    const { model, ranges } = bytesRequestSchema.parse((await stream.read())?.header);
    onAsked();
    // Metadata is as it should be, so that it is trusted first.
    const isTrue = ranges.every(({ offset }) => offset < (fixture.tensors[0]?.offset ?? 0));
    for await (const chunk of fixture.store.readRanges(model, ranges)) {
      if (!isTrue) chunk[chunk.byteLength >> 1] = (chunk[chunk.byteLength >> 1] ?? 0) ^ 1;
      await stream.write({ type: 'model-bytes' }, chunk);
    }
    await stream.write({ type: 'bytes-end' });
  };
}

test('takes a section from the next holder when one sends another content', async () => {
  await using fixture = await meshFixture();
  const expected = await fixture.cut([fixture.holder]);
  let asked = 0;
  const liar = await fixture.answering(lying(fixture, () => asked++));
  expect(await fixture.cut([liar, await absentPeer(), fixture.holder])).toEqual(expected);
  // Once for the keys that are rewritten, once for the rest, and then not again.
  expect(asked).toBe(2);
});

test('refuses a section that no holder has right', async () => {
  await using fixture = await meshFixture();
  let asked = 0;
  const liars = [
    await fixture.answering(lying(fixture, () => asked++)),
    await fixture.answering(lying(fixture, () => asked++)),
  ];
  await expect(fixture.cut(liars)).rejects.toMatchObject({ code: 'hash-mismatch' });
  // The first for both parts, the second for the wrong one.
  expect(asked).toBe(3);
});

test('names the liar when the other holders are out of reach', async () => {
  await using fixture = await meshFixture();
  const liar = await fixture.answering(lying(fixture, () => {}));
  await expect(fixture.cut([liar, await absentPeer()])).rejects.toMatchObject({
    code: 'model-unreachable',
    message: expect.stringMatching(`…${shortPeer(liar)}\\)?: sent bytes that are not the model's`),
  });
});

test('does not take one for a liar that went on with what a liar began', async () => {
  await using fixture = await meshFixture();
  const { tensors, expected, holder } = fixture;
  const beginning = await fixture.answering(async (stream) => {
    await stream.read();
    await stream.write({ type: 'model-bytes' }, new Uint8Array(10).fill(7));
  });
  const fetching = await fixture.source([beginning, holder]);
  const chunks = await Array.fromAsync(verifiedSections(fetching, tensors, {}));
  const received = new Uint8Array(expected.byteLength);
  const starts = tensors.map((_, index) => tensors.slice(0, index).reduce((sum, { bytes }) => sum + bytes, 0));
  for (const { index, offset, content } of chunks) received.set(content, (starts[index] ?? 0) + offset);
  expect(Buffer.from(received).equals(expected)).toBe(true);
});
