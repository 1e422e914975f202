export { AuditLog, type AuditLogOptions } from './audit-log.ts';
export type { Problem, ProblemKind } from './chain.ts';
export { deploymentEvent } from './deployment-event.ts';
export type { Entry } from './entry.ts';
export { loggedEventSchema, type AuditEvent, type LoggedEvent } from './events.ts';
export type { Head } from './head.ts';
export type { Place } from './lines.ts';
export { noAudit, type AuditPort } from './port.ts';
export { followEntries, lastEntries, readEntries, type ReadEntry } from './read.ts';
export {
  RequestRecord,
  Requests,
  type AnswerObserver,
  type AnsweringMachine,
  type AskedReplica,
  type RequestOrigin,
  type RequestSummary,
} from './requests.ts';
export { decodeKey } from './signature.ts';
export type { Recovery, Verification } from './verification.ts';
export { verifyAuditLog, type VerifyOptions } from './verify.ts';
