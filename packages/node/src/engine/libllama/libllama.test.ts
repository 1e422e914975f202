import { describe, expect, it } from 'vitest';

import { libraryDirectory } from '../../hardware/backend.ts';
import { llamaVersion } from './c-headers.ts';
import { loadLibllama } from './libllama.ts';

describe('the binding of libllama', () => {
  it('loads the version that the layouts were written for', async () => {
    const library = loadLibllama(await libraryDirectory('cpu'));
    expect(library.version()).toBe(llamaVersion);
    expect(library.deviceCount()).toBeGreaterThan(0);
    expect(library.contextDefaultParams()).toMatchObject({ n_ctx: 512, n_ubatch: 512, type_k: 1, type_v: 1 });
  });
});
