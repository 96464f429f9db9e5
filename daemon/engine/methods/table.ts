import { type Batch, type EngineState, loadDecision } from '../context.ts';
import type { EngineCall, EngineMethod, EngineReply } from '../protocol.ts';
import type { AfterCommit } from '../reply.ts';
import type { Reading } from '../time.ts';
import { approveDecision } from './acts.ts';
import { anchorFrom, carriedAnchors, exportNext, listAnchors } from './anchors.ts';
import { anomalyPage } from './anomalies.ts';
import { recordMade } from './backups.ts';
import {
  activateBreakglass,
  endBreakglass,
  getBreakglass,
  listBreakglass,
  reviewBreakglass,
} from './breakglass.ts';
import { recordCosignatures } from './cosign.ts';
import { createDecision } from './create.ts';
import { discloseLedger } from './disclose.ts';
import { changeEnvelope, discloseFields, getEnvelope } from './envelopes.ts';
import { gatherForExport, mentionedIn } from './evidence.ts';
import { getGrant, listGrants } from './grant-views.ts';
import { issueGrant, redeemGrant, revokeGrant } from './grants.ts';
import { getHeld } from './hold.ts';
import { tokenRules } from './id-tokens.ts';
import { getIncident, listIncidents, openIncident, resumeIncident } from './incidents.ts';
import { cancelDecision, tick } from './lifecycle.ts';
import { acknowledgeOutbox, outboxKeys } from './outbox.ts';
import { openPermits, redeemPermit, reportOutcome } from './permits.ts';
import { applyPolicy, getPolicy, getPolicyHistory, preparePolicy, refusePolicy } from './policy.ts';
import {
  getCheckpoint,
  getDecision,
  getDecisionEntries,
  getEntries,
  getProof,
  getTile,
  listDecisions,
} from './reads.ts';
import { releasePolicy } from './release.ts';
import { replayRecorded } from './replay.ts';
import { archiveSegment, carryArchive, getRetention, shredDue } from './retention.ts';
import { holdDecision, releaseDecision } from './retention-holds.ts';
import { reconcileDecision, reviewDecision } from './review.ts';
import { envelopeRotated, rotateEnvelope } from './rotate-envelope.ts';
import { getLedgerKeys, rotateLedgerKey } from './rotate-ledger-key.ts';
import { listSuspended, suspendKey } from './suspend.ts';
import { systemRetired, systemStopped } from './system.ts';
import { getTime, stateTime } from './time.ts';

export type WriteMethod = (batch: Batch, call: EngineCall) => AfterCommit;
export type ReadMethod = (state: EngineState, call: EngineCall, time: Reading) => EngineReply;

/** Methods that append to the ledger, each in the batch's one transaction. */
export const WRITES: Readonly<Partial<Record<EngineMethod, WriteMethod>>> = {
  'decisions.create': createDecision,
  'decisions.approve': approveDecision,
  'decisions.cancel': cancelDecision,
  'decisions.review': reviewDecision,
  'decisions.reconcile': reconcileDecision,
  'keys.suspend': suspendKey,
  'ledger.rotate_key': rotateLedgerKey,
  'envelopes.change': changeEnvelope,
  'envelopes.disclose': discloseFields,
  'envelopes.rotate': rotateEnvelope,
  'envelopes.rotated': envelopeRotated,
  'permits.redeem': redeemPermit,
  'permits.outcome': reportOutcome,
  'incidents.open': openIncident,
  'incidents.resume': resumeIncident,
  'policy.apply': applyPolicy,
  'policy.refuse': refusePolicy,
  'anchors.export': exportNext,
  'backups.record': recordMade,
  'anchors.carried': carriedAnchors,
  'anchors.cosign': recordCosignatures,
  'outbox.acknowledge': acknowledgeOutbox,
  'policy.release': releasePolicy,
  'breakglass.activate': activateBreakglass,
  'breakglass.end': endBreakglass,
  'breakglass.review': reviewBreakglass,
  'grants.issue': issueGrant,
  'grants.redeem': redeemGrant,
  'grants.revoke': revokeGrant,
  'ledger.disclose': discloseLedger,
  'retention.archived': archiveSegment,
  'retention.carry': carryArchive,
  'retention.hold': holdDecision,
  'retention.release': releaseDecision,
  'retention.shred': shredDue,
  'time.state': stateTime,
  'system.tick': tick,
  'system.retired': systemRetired,
  'system.stopped': systemStopped,
};

/** Methods that only read; they run after the batch's commit and so see committed state alone. */
export const READS: Readonly<Partial<Record<EngineMethod, ReadMethod>>> = {
  'decisions.get': getDecision,
  'decisions.list': listDecisions,
  'decisions.entries': getDecisionEntries,
  'decisions.replay': replayRecorded,
  'decisions.token_rules': tokenRules,
  'permits.open': (state, call) => openPermits(state, call, (id) => loadDecision(state, id)),
  'incidents.get': getIncident,
  'incidents.list': listIncidents,
  'breakglass.get': getBreakglass,
  'breakglass.list': listBreakglass,
  'grants.get': getGrant,
  'grants.list': listGrants,
  'keys.suspended': listSuspended,
  'envelopes.get': getEnvelope,
  'anomalies.list': anomalyPage,
  'policy.get': getPolicy,
  'policy.held': getHeld,
  'policy.prepare': preparePolicy,
  'policy.history': getPolicyHistory,
  'anchors.list': listAnchors,
  'anchors.from': anchorFrom,
  'outbox.keys': outboxKeys,
  'time.get': getTime,
  'retention.get': getRetention,
  'ledger.checkpoint': getCheckpoint,
  'ledger.keys': getLedgerKeys,
  'ledger.entries': getEntries,
  'ledger.proof': getProof,
  'ledger.tile': getTile,
  'evidence.mentions': mentionedIn,
  'evidence.gather': gatherForExport,
};
