export { Admission } from './admission.ts';
export type { Permit } from './model-admission.ts';
export {
  ModelQueue,
  type AdmissionRequest,
  type ModelQueueOptions,
  type Outlook,
  type Refusal,
  type Ticket,
  type TokensTaken,
} from './model-queue.ts';
export type { Priority } from './priority-queue.ts';
