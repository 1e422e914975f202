import type { AddedMachine, Card } from '@skein/protocol';

/** Share of a machine's memory that its system and other programs leave. */
const freeShare = 0.85;

/**
 * Makes the cards of machines that are not there, with links to all the others.
 *
 * @param present cards of the machines that are there
 */
export function addedCards(machines: readonly AddedMachine[], present: readonly Card[]): readonly Card[] {
  const added = machines.map((machine, index) => ({ ...machine, peer: `added/${index + 1}/${machine.name}` }));
  return added.map((machine) => {
    const { peer, name, memoryBytes, cpu = 'desktop', cores = 8, gpus = [], link, labels } = machine;
    const isApple = /Apple M\d/.test(cpu);
    const others = [
      ...present.map((card) => card.peer),
      ...added.flatMap((other) => (other === machine ? [] : other.peer)),
    ];
    const own = gpus.map((gpu) => ({ ...gpu, freeMemoryBytes: gpu.memoryBytes }));
    // macOS lets Metal have three quarters of the memory.
    const shared = { name: cpu, memoryBytes: 0.75 * memoryBytes, freeMemoryBytes: 0.75 * memoryBytes };
    return {
      peer,
      version: 0,
      roles: ['peer'],
      name,
      software: 'planned',
      addresses: [],
      hardware: {
        platform: 'planned',
        cpu,
        cores,
        memoryBytes,
        freeMemoryBytes: Math.floor(freeShare * memoryBytes),
        backend: isApple ? 'metal' : gpus.length > 0 ? 'cuda' : 'cpu',
        gpus: isApple ? [{ ...shared, sharesMainMemory: true }] : own,
      },
      models: [],
      stages: [],
      ...(labels !== undefined && { labels }),
      ...(link !== undefined && { links: others.map((other) => ({ peer: other, ...link, measuredAt: 0 })) }),
    };
  });
}
