export { createRouter, type RouterComponents } from './router.ts';
