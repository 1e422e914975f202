export { createApp, type AppComponents } from './app.ts';
export type { Choice, GenerationPort, ServedModel } from './generation-port.ts';
export { createLocalApp, type LocalAppComponents } from './local-app.ts';
export { createAppServer, HttpServer } from './server.ts';
export type { AdminHandlers } from './skein/handlers.ts';
