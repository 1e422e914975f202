export { eventOf, eventStream, type EventSink, type EventStreamOptions } from './event-stream.ts';
