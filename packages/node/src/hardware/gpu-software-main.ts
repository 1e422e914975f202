import { findSoftware } from '../engine/libllama/backend-failure.ts';
import { answerProbe } from '../probe/answer-probe.ts';

/** Loads the system's libraries that a GPU backend needs, and prints those that are there as JSON. */
const backend = process.argv[2] === 'cuda' ? 'cuda' : 'vulkan';
await answerProbe(() => findSoftware(backend));
