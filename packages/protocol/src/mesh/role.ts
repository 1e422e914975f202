import { z } from 'zod';

/** What a member may be: hold models and layers, plan and deploy, or only ask. */
export const roleSchema = z.enum(['peer', 'coordinator', 'client']);
export type Role = z.infer<typeof roleSchema>;
