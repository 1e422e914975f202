import { z } from 'zod';

/** The roles of a member: `peer` holds models and layers, `coordinator` plans and deploys, `client` only asks. */
export const roleSchema = z.enum(['peer', 'coordinator', 'client']);
export type Role = z.infer<typeof roleSchema>;
