import type { Degraded, HealthFacts } from './facts.ts';

/** What status says of the key that sensitive values lie under. */
export function secretsSummary({ state }: HealthFacts): object | null {
  if (state === null) return null;
  const { rotation, keyAtHand } = state.envelopes;
  return { envelope_key: rotation.epoch, at_hand: keyAtHand, rotating_since: rotation.since };
}

/** Envelope keys that are missing. A rotation that is under way is nothing wrong. */
export function secretsHealth({ state }: HealthFacts): Degraded[] {
  if (state === null) return [];
  const { rotation, keyAtHand, lost } = state.envelopes;
  const found: Degraded[] = [];
  if (!keyAtHand) {
    found.push({
      component: 'secrets',
      cause: `the envelope key of epoch ${rotation.epoch} is not in state/keys`,
      since: null,
      effect:
        'Sensitive values that lie under it cannot be opened; permits that need them are refused. New values are sealed under an older key.',
      instruction:
        'Restore state/keys from the newest backup and start the daemon again. If it is lost: holdfast keys rotate envelope --reason TEXT',
    });
  }
  if (lost > 0) {
    found.push({
      component: 'secrets',
      cause: `${lost} envelopes cannot be opened: their keys are gone or were changed`,
      since: rotation.since,
      effect: 'Their values are lost to this site; what the ledger proves stays.',
      instruction:
        'Find out who changed the files: holdfast ledger verify. A backup from before has the values.',
    });
  }
  return found;
}
