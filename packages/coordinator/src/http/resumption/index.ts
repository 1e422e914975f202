export { KeptStreams, keptStreamLimits, type KeptStream } from './kept-streams.ts';
export { eventId, lastEventOf, type EventPlace } from './last-event-id.ts';
export { noSuchStream } from './no-such-stream.ts';
export { AnswerMark, cameOutOtherwise, parseMark } from './told-anew.ts';
