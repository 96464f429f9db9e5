import type { Target } from './target.ts';

/* Every reader of untrusted bytes that is fuzzed, by groups that share what they need. */

/** Targets of one module, which exports `targets()`. */
export interface Group {
  /** So that the time can be shared out before anything is loaded; a test holds them against what is loaded. */
  names: readonly string[];
  module: string;
  /** Shares of the time that each of its targets gets, where that is not 1: files and signatures make some slow. */
  weight?: number;
}

export const GROUPS: Readonly<Record<string, Group>> = {
  documents: {
    names: [
      'strict-json',
      'canonical-json',
      'bundle',
      'entry',
      'request',
      'signed-act',
      'carried-act',
      'breakglass-scope',
      'grant',
      'sealed-grant',
      'grant-code',
      'condition',
      'template',
      'spiffe-id',
      'search',
      'frame',
      'config',
      'yaml',
      'site-target',
      'evidence-index',
      'evidence-sums',
      'backup-manifest',
    ],
    module: new URL('./targets/json.ts', import.meta.url).href,
  },
  logs: {
    names: [
      'vkey',
      'signed-note',
      'checkpoint',
      'signed-checkpoint',
      'cosigned-checkpoint',
      'witness-answer',
      'key-rotation',
      'tlog-proof',
      'proof-in-log',
      'permit',
      'permit-entry',
      'anchor',
      'merkle-proof',
      'disclosure',
      'approval-request',
      'enrolment',
      'tlog-policy',
      'checkpoint-by-policy',
      'log-keys',
      'tile-path',
      'entry-bundle',
    ],
    module: new URL('./targets/log.ts', import.meta.url).href,
  },
  signatures: {
    names: [
      'ssh-public-key',
      'ssh-key-blob',
      'sshsig',
      'sshsig-verify',
      'sshsig-body',
      'ssh-private-key',
      'ssh-private-key-body',
      'ssh-wire',
      'manifest',
      'manifest-lines',
      'provisioning-payload',
      'dsse',
      'in-toto',
      'in-toto-payload',
      'receipt',
      'receipt-payload',
      'receipt-entry',
      'acknowledgement',
      'acknowledgement-payload',
      'trust-envelope',
    ],
    module: new URL('./targets/signed.ts', import.meta.url).href,
  },
  files: {
    names: [
      'wal',
      'gateway-journal',
      'archive-file',
      'copy-mark',
      'evidence-tar',
      'evidence-members',
      'evidence',
      'age-file',
      'backup-zstd',
      'backup-tar',
      'age-identities',
      'wrapped-key',
      'signing-key',
      'trust-file',
      'log-lineage',
    ],
    module: new URL('./targets/files.ts', import.meta.url).href,
  },
  policy: {
    names: [
      'tuf-root',
      'tuf-targets',
      'tuf-snapshot',
      'tuf-timestamp',
      'tuf-forged-targets',
      'tuf-forged-snapshot',
      'tuf-forged-timestamp',
      'tuf-pinned-root',
    ],
    module: new URL('./targets/policy.ts', import.meta.url).href,
    weight: 4,
  },
  carried: {
    names: ['qr-frames', 'qr-content', 'png', 'png-of-codes', 'carried-file'],
    module: new URL('./targets/carried.ts', import.meta.url).href,
  },
  identity: {
    names: [
      'id-token',
      'id-token-claims',
      'certificate-request',
      'certificate-request-der',
      'certificate-names',
      'certificate-alt-names',
    ],
    module: new URL('./targets/identity.ts', import.meta.url).href,
  },
};

export const TARGET_NAMES: readonly string[] = Object.values(GROUPS).flatMap(({ names }) => names);

const loaded = new Map<string, Promise<Target[]>>();

/** The targets of a group, made once. */
export function load({ module }: Group): Promise<Target[]> {
  const made =
    loaded.get(module) ??
    import(module).then((exported: { targets(): Promise<Target[]> }) => exported.targets());
  loaded.set(module, made);
  return made;
}

/** Throws for a name that there is not. */
export async function targetNamed(name: string): Promise<Target> {
  const group = Object.values(GROUPS).find(({ names }) => names.includes(name));
  const target = group && (await load(group)).find((one) => one.name === name);
  if (target === undefined) throw new Error(`no target is called ${name}; --list names them`);
  return target;
}
