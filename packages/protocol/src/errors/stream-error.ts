import { z } from 'zod';

import { wireErrorSchema } from './skein-error.ts';

/**
 * A handler's reason for giving up, as the last frame of its side of any stream. Readers of frames turn it into a
 * thrown error, so no protocol needs to list it among its own messages.
 */
export const streamErrorSchema = z.object({ type: z.literal('stream-error'), error: wireErrorSchema });
export type StreamError = z.infer<typeof streamErrorSchema>;
