export { createApp, type AppComponents } from './app.ts';
export type { Choice, GenerationPort, ServedModel } from './generation-port.ts';
export { isLoopbackHost } from './guard.ts';
export { HttpServer } from './server.ts';
export type { AdministrationPort } from './skein/administration-port.ts';
