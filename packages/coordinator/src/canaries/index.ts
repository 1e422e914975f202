export { Canaries } from './canaries.ts';
export { canaryEvent, logVerdict, type CanaryReport } from './report.ts';
