export { eventOf, eventStream, type ContinuedStream, type EventSink, type EventStreamOptions } from './event-stream.ts';
