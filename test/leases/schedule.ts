import { World, type Machine, type WorldOptions } from './world.ts';

/** Time in which everything goes wrong, and time after which a mesh that is whole again must have one holder. */
const faultsMs = 25_000;
/** Before its end nobody dies: the last card of a dead member may come by way of others, and counts for six seconds. */
const lastDeathsMs = faultsMs - 8000;
/** Members have met again by then: the mesh is whole. */
const meetMs = 2500;
const healMs = 5000;
/** Time for which that one must stay. */
const steadyMs = 4000;

/** Runs one schedule: faults at random times, then an end of all faults. Throws at the first violated promise. */
export async function runSchedule(options: WorldOptions): Promise<World['counts']> {
  const world = new World(options);
  await faultsFor(world);
  await world.runUntil(world.nowMs + meetMs + healMs);
  for (const untilMs = world.nowMs + steadyMs; world.nowMs < untilMs; await world.runUntil(world.nowMs + 500)) {
    const holders = world.holders();
    if (holders.length !== 1)
      throw new Error(`seed ${options.seed}: ${holders.length} holders although the mesh is whole again`);
    world.assertObeys(holders);
  }
  return world.counts;
}

/** Runs a world through its faults, and ends them all. */
async function faultsFor(world: World): Promise<void> {
  await world.runUntil(world.below(2) === 0 ? 500 : 4000);
  while (world.nowMs < faultsMs) {
    fault(world);
    await world.runUntil(world.nowMs + 100 + world.below(2500));
  }
  healAll(world);
}

/** Does one of the things that go wrong. */
function fault(world: World): void {
  const machine = pick(world, world.machines);
  const [one, other] = [pick(world, world.machines), pick(world, world.machines)];
  const later = (run: () => void, atMostMs: number) => world.after(100 + world.below(atMostMs), run);
  const kind = world.below(world.nowMs < lastDeathsMs ? 10 : 7);
  switch (kind) {
    case 7:
      world.kill(machine);
      return later(() => world.start(machine), 4000);
    case 1:
      return (world.freeze(machine), later(() => world.thaw(machine), 8000));
    case 2:
      return (world.freeze(machine, { asleep: true }), later(() => world.thaw(machine), 8000));
    case 3:
    case 4:
      // A and C lose each other while both reach B.
      world.cut(one, other);
      return later(() => world.heal(one, other), 10_000);
    case 5: {
      const side = new Set(world.machines.filter(() => world.below(2) === 0));
      const cuts = world.machines.flatMap((left) =>
        world.machines.filter((right) => side.has(left) && !side.has(right)).map((right) => [left, right] as const),
      );
      for (const [left, right] of cuts) world.cut(left, right);
      return later(() => cuts.forEach(([left, right]) => world.heal(left, right)), 10_000);
    }
    case 6:
      machine.disk.isFull = true;
      return later(() => (machine.disk.isFull = false), 8000);
    case 8:
      return world.wipe(machine);
    case 0:
      machine.wallMs += (world.below(2) === 0 ? 1 : -1) * 86_400_000;
      return;
    case 9:
      // All at once, as after a power cut.
      for (const each of world.machines) world.kill(each);
      for (const each of world.machines) later(() => world.start(each), 3000);
  }
}

function healAll(world: World): void {
  for (const machine of world.machines) {
    machine.disk.isFull = false;
    world.start(machine);
    world.thaw(machine);
    for (const other of world.machines) world.heal(machine, other);
  }
}

function pick(world: World, machines: readonly Machine[]): Machine {
  const machine = machines[world.below(machines.length)];
  if (machine === undefined) throw new Error('a world without machines');
  return machine;
}
