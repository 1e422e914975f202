import { z } from 'zod';

/** The way of one deployment off a machine that is drained. */
const moveSchema = z.object({
  /** Id of the deployment with a stage there. */
  id: z.string(),
  name: z.string(),
  /**
   * `replacing`: a replica elsewhere is made ready first. `handing-over`: its answers go on elsewhere, those that can't end
   * here. `ending`: there is no room elsewhere, and its answers end here. `gone`: nothing of it is left.
   */
  step: z.enum(['replacing', 'handing-over', 'ending', 'gone']),
  /** Id of the deployment in its place, once that is ready. Left out where there is none. */
  replacement: z.string().optional(),
  /** Number of answers that still run. Left out before it is known. */
  running: z.number().int().nonnegative().optional(),
});
export type DrainMove = z.infer<typeof moveSchema>;

/** A machine to drain. */
export const drainPeerRequestSchema = z.object({
  /** Peer id. */
  peer: z.string().min(1),
  /** Whether deployments without room elsewhere are taken down when their answers have ended. Default: it is refused then. */
  force: z.boolean().optional(),
});

/** The state of a drain. In the last one every deployment is `gone`. */
export const drainEventSchema = z.object({ peer: z.string(), moves: z.array(moveSchema) });
export type DrainStatus = z.infer<typeof drainEventSchema>;

/** A machine that is to take stages again. */
export const undrainPeerRequestSchema = z.object({ peer: z.string().min(1) });
