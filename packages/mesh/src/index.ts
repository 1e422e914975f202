export { asWarning } from './as-warning.ts';
export { linkFile, removeFile, removeTree, removeUnlessUsed, renameFile } from './files/change-files.ts';
export { isAnything, readFileIfAny, setAside, statIfAny } from './files/read-file.ts';
export { answerMeasurements, type AnswerMeasurementsOptions } from './calls/answer-measurements.ts';
export { decodeManifest, type EncodedManifest } from './calls/encoded-manifest.ts';
export { drainPeer } from './calls/drain-peer.ts';
export { fetchManifest, type ManifestRequest } from './calls/fetch-manifest.ts';
export { Holders } from './calls/holders.ts';
export { measureLink, type LinkMeasurement, type MeasureLinkOptions } from './calls/measure-link.ts';
export type { Absent } from './cards/absent.ts';
export type { Cards } from './cards/cards.ts';
export type { Remote, StreamHandler } from './connections/serve.ts';
export { askMdns, type MdnsAnswers } from './diagnosis/ask-mdns.ts';
export { testPath, type PathStep, type PathStepName, type TestPathOptions } from './diagnosis/test-path.ts';
export { isAnnounceable, isLoopbackHost, ownAddresses, withPeerId } from './discovery/addresses.ts';
export { localNetworkFix } from './discovery/local-network.ts';
export { chooseInterfaces } from './discovery/interfaces.ts';
export { findWireless } from './discovery/wireless.ts';
export {
  createIdentity,
  isIdentityEncrypted,
  loadIdentity,
  type Identity,
  type KeyOptions,
} from './identity/identity.ts';
export { peerIdOf, publicKeyOf, signingKeyOf } from './identity/node-keys.ts';
export { syncDirectory } from './files/sync-directory.ts';
export { createSecretFile, readSecretFile, replaceSecretFile } from './identity/secret-file.ts';
export { runPowerShell } from './system/power-shell.ts';
export { askToJoin, type JoinOptions } from './membership/ask-to-join.ts';
export type { MemberRecord } from './membership/authority-state.ts';
export { Authority, type InviteOptions, type MembershipEvent } from './membership/authority.ts';
export {
  exportAuthority,
  importAuthority,
  loadAuthority,
  loadMembership,
  loadOrCreateAuthority,
  membershipFiles,
  ofAnotherMesh,
  removeAuthority,
  removeMembership,
  saveMembership,
} from './membership/membership-files.ts';
export type { Advice, MembershipProblem } from './membership/judgement.ts';
export { Membership, type Credentials } from './membership/membership.ts';
export type { Denial } from './membership/denials.ts';
export { createMesh } from './create-mesh.ts';
export { LeaseFile } from './lease/lease-file.ts';
export { livenessPresets, type LivenessPreset } from './liveness/presets.ts';
export type { CardChange, Mesh } from './mesh.ts';
export type { MeshOptions } from './options.ts';
export { PromptDigests, type DigestChain } from './prefixes/prompt-digests.ts';
export type { ByteDuplex } from './streams/byte-duplex.ts';
export { InboundBudget } from './streams/inbound-budget.ts';
export type { FrameStream } from './streams/frame-stream.ts';
export { TokenBucket } from './streams/token-bucket.ts';
export type { Traffic, TrafficCount } from './streams/traffic.ts';
export { pause, throwIfAborted, untilAborted, type WaitOptions } from './streams/wait.ts';
export { Watchdog } from './streams/watchdog.ts';
export { schedule, type Schedule } from './timers.ts';
