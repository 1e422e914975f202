import type { BenchCase } from '../bench-case.ts';
import { hop } from './hop.ts';
import { load } from './load.ts';
import { pipeline } from './pipeline.ts';
import { pool } from './pool.ts';
import { prefill } from './prefill.ts';
import { prefix } from './prefix.ts';
import { profile } from './profile.ts';
import { replica } from './replica.ts';
import { speculation } from './speculation.ts';

/** Cases by the names that the command line takes. */
export const cases: ReadonlyMap<string, BenchCase> = new Map(
  Object.entries({ replica, pipeline, prefill, pool, prefix, hop, speculation, load, profile }),
);
