export { createRouter, type RouterComponents, type RouterOptions } from './router.ts';
