export { KeptStreams, keptStreamLimits, type KeptStream } from './kept-streams.ts';
export { lastEventOf, type EventPlace } from './last-event-id.ts';
export { noSuchStream } from './no-such-stream.ts';
