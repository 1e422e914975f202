export { schedule, type Schedule } from '@skein/mesh';
