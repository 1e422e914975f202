export { LeaseKeeper, forgetfulLeases, type LeaseStore } from './lease-keeper.ts';
export { Placer, type Tenure } from './placer.ts';
export { DesiredCopies } from './desired-copies.ts';
export { Candidate, type CandidateOptions, type LeaseCard, type LeaseTimes, type LeaseView } from './candidate.ts';
