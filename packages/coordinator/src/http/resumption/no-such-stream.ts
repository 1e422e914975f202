import { SkeinError } from '@skein/protocol';

/** Makes the error for a stream that can't be continued. It does not tell whether somebody else has it. */
export function noSuchStream(): SkeinError {
  return new SkeinError(
    'not-found',
    'there is no such stream to continue, or not any more: a stream is kept for two minutes after its connection ended; send the request again without Last-Event-ID',
  );
}
