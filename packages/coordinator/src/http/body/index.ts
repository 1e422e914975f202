export { RequestBodies, type JsonBody, type RequestBodiesOptions } from './request-bodies.ts';
