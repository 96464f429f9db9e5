import type { Command } from 'commander';

/*
 * Every command of the program, each in a module of its own that is read only when it is named.
 */

/** One command of the program, as `holdfast --help` lists it. */
export interface CommandEntry {
  summary: string;
  group: string;
  /** Its module, loaded when it is named. `whole` loads all of them, for what speaks of every command. */
  load: (whole: () => Promise<Command>) => Promise<Command>;
}

const ROLES = 'Long-running roles:';
const ASK = 'Ask and act:';
const DECIDE = 'Decide:';
const POLICY = 'Policy:';
const PROOF = 'Proof:';
const SITE = 'Site:';

/** The whole list, in the order in which it is shown. */
export const CATALOGUE: Readonly<Record<string, CommandEntry>> = {
  init: {
    group: SITE,
    summary: 'create a site: keys, pinned policy root, configuration, ledger',
    load: async () => (await import('./init.ts')).initCommand(),
  },
  status: {
    group: SITE,
    summary: 'is it safe, is it deciding, what waits, what degrades next',
    load: async () => (await import('./status.ts')).statusCommand(),
  },
  watch: {
    group: SITE,
    summary: 'the same as a live view, with what waits and what is recorded',
    load: async () => (await import('./watch.ts')).watchCommand(),
  },
  doctor: {
    group: SITE,
    summary: 'look at everything about this site, and say what to do',
    load: async () => (await import('./doctor.ts')).doctorCommand(),
  },
  site: {
    group: SITE,
    summary: 'what others need to check this site',
    load: async () => (await import('./site.ts')).siteCommand(),
  },
  version: {
    group: SITE,
    summary: 'which version this is, and whether it is as it was released',
    load: async () => (await import('./version.ts')).versionCommand(),
  },
  daemon: {
    group: ROLES,
    summary: 'decide and record: engine, ledger, policy store',
    load: async () => (await import('./role.ts')).daemonCommand(),
  },
  gateway: {
    group: ROLES,
    summary: 'enforce: verify permits, run tools, report outcomes',
    load: async () => (await import('./role.ts')).gatewayCommand(),
  },
  sync: {
    group: ROLES,
    summary: 'move bytes across the gap: policy in, receipts and anchors out',
    load: async () => (await import('./role.ts')).syncCommand(),
  },
  request: {
    group: ASK,
    summary: 'ask for a decision',
    load: async () => (await import('./request.ts')).requestCommand(),
  },
  exec: {
    group: ASK,
    summary: 'ask through the gateway and run the tool when allowed',
    load: async () => (await import('./exec.ts')).execCommand(),
  },
  decision: {
    group: DECIDE,
    summary: 'show, list, explain, replay, cancel, review or reconcile decisions',
    load: async () => (await import('./decision.ts')).decisionCommand(),
  },
  approvals: {
    group: DECIDE,
    summary: 'list, show, sign and submit approvals',
    load: async () => (await import('./approvals.ts')).approvalsCommand(),
  },
  incident: {
    group: DECIDE,
    summary: 'report what was done without a permit; resume after a halt; test the gateway',
    load: async () => (await import('./incident.ts')).incidentCommand(),
  },
  breakglass: {
    group: DECIDE,
    summary: 'emergencies: go ahead on record, have it reviewed; sealed grants',
    load: async () => (await import('./breakglass.ts')).breakglassCommand(),
  },
  anomalies: {
    group: DECIDE,
    summary: 'what was out of the ordinary about approvals and requests',
    load: async () => (await import('./anomalies.ts')).anomaliesCommand(),
  },
  principals: {
    group: DECIDE,
    summary: 'people, agents and services of the active policy',
    load: async () => (await import('./principals.ts')).principalsCommand(),
  },
  keys: {
    group: SITE,
    summary: 'keys and certificates of this site',
    load: async () => (await import('./keys.ts')).keysCommand(),
  },
  policy: {
    group: POLICY,
    summary: 'write, lint, test, compare, simulate and build policies',
    load: async () => (await import('./policy.ts')).policyCommand(),
  },
  repo: {
    group: POLICY,
    summary: "the publisher's side: publish bundles in a signed repository",
    load: async () => (await import('./repo.ts')).repoCommand(),
  },
  import: {
    group: POLICY,
    summary: 'bring in a signed policy repository from a directory or medium',
    load: async () => (await import('./import.ts')).importCommand(),
  },
  media: {
    group: POLICY,
    summary: 'removable media, step by step, as the units use them',
    load: async () => (await import('./media.ts')).mediaCommand(),
  },
  time: {
    group: SITE,
    summary: 'how far the clock can be believed; state what time it is',
    load: async () => (await import('./time.ts')).timeCommand(),
  },
  ledger: {
    group: PROOF,
    summary: 'verify, search, follow, show, prove, export or rebuild the ledger',
    load: async () => (await import('./ledger.ts')).ledgerCommand(),
  },
  anchor: {
    group: PROOF,
    summary: 'tree heads that leave the site: export, list, verify',
    load: async () => (await import('./anchor.ts')).anchorCommand(),
  },
  copy: {
    group: PROOF,
    summary: 'begin a second copy of the ledger on another disk',
    load: async () => (await import('./copy.ts')).copyCommand(),
  },
  evidence: {
    group: PROOF,
    summary: 'everything that proves one decision, in one file; verify it, make a report of it',
    load: async () => (await import('./evidence.ts')).evidenceCommand(),
  },
  siem: {
    group: PROOF,
    summary: 'entries as a SIEM is told of them',
    load: async () => (await import('./siem.ts')).siemCommand(),
  },
  backup: {
    group: SITE,
    summary: 'everything of this site in one encrypted file',
    load: async () => (await import('./backup.ts')).backupCommand(),
  },
  restore: {
    group: SITE,
    summary: 'make a site from its backup, and say what is missing',
    load: async () => (await import('./restore.ts')).restoreCommand(),
  },
  permit: {
    group: PROOF,
    summary: 'check a permit file offline',
    load: async () => (await import('./permit.ts')).permitCommand(),
  },
  receipt: {
    group: PROOF,
    summary: "check a site's answer to an import offline, and acknowledge it",
    load: async () => (await import('./receipt.ts')).receiptCommand(),
  },
  completion: {
    group: SITE,
    summary: 'complete commands and options in bash, zsh or fish',
    load: async (whole) => (await import('./completion.ts')).completionCommand(whole),
  },
};
