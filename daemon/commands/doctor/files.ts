import { lstatSync, readdirSync, type Stats } from 'node:fs';
import { join } from 'node:path';
import { type Check, fail, type Patient, pass, warn } from './check.ts';
import { checkWitnesses } from './witnesses.ts';

/** Files that others could read or replace, and files that are missing. */
export function checkFiles(patient: Patient): Check[] {
  return [
    ...checkPrivate(patient),
    ...checkKeys(patient),
    ...checkTrust(patient),
    ...checkWitnesses(patient),
    ...checkPublisher(patient),
    ...checkLink(patient),
  ];
}

function statOf(path: string): Stats | null {
  return lstatSync(path, { throwIfNoEntry: false }) ?? null;
}

function octal({ mode }: Stats): string {
  return `0${(mode & 0o7777).toString(8)}`;
}

/** Directories that belong to one process alone. */
function checkPrivate({ site: { paths } }: Patient): Check[] {
  return (['state', 'gateway', 'sync'] as const).flatMap((name): Check[] => {
    const stat = statOf(paths[name]);
    const id = `files.${name}_mode`;
    if (stat === null)
      return name === 'state'
        ? [fail(id, `${paths.state} is missing`, 'Restore a backup; without its state this is no site.')]
        : [];
    if ((stat.mode & 0o077) === 0) return [pass(id, `${name}/ is open to its own account only`)];
    const fix = `chmod 0700 ${paths[name]}`;
    return [fail(id, `${name}/ has mode ${octal(stat)}: others can look into it`, fix)];
  });
}

function checkKeys({ site: { paths } }: Patient): Check[] {
  const id = 'files.keys_mode';
  let names: string[];
  try {
    names = readdirSync(paths.keys);
  } catch {
    return [
      warn(id, `${paths.keys} cannot be read by this account`, 'Run doctor as the account of the daemon.'),
    ];
  }
  const open = names.filter((name) => ((statOf(join(paths.keys, name))?.mode ?? 0) & 0o077) !== 0);
  if (open.length === 0) return [pass(id, `${names.length} keys are readable by their own account only`)];
  const fix = `chmod 0600 ${open.map((name) => join(paths.keys, name)).join(' ')}; then ask whether they were copied`;
  return [fail(id, `others can read ${open.join(', ')}`, fix)];
}

function checkTrust({ site: { paths } }: Patient): Check[] {
  const missing = ['root.json', 'ledger.vkey', 'tlog-policy'].filter(
    (name) => statOf(join(paths.trust, name))?.isFile() !== true,
  );
  if (missing.length === 0) return [pass('files.trust', 'trust/ holds the policy root and the ledger key')];
  const fix = 'Put them back from a backup of this site; the gateway does not start without them.';
  return [fail('files.trust', `trust/ lacks ${missing.join(', ')}`, fix)];
}

/** A publisher's keys beside the site would let whoever has the site write its policy. */
function checkPublisher({ site: { paths, config } }: Patient): Check[] {
  const there = statOf(paths.publisher) !== null;
  if (config.profile === 'dev') {
    const found = 'this is a dev site: its publisher and its people have their keys in plain files beside it';
    return [
      warn(
        'site.profile',
        found,
        'Use it for trying out only; a site in service is made with --profile node.',
      ),
    ];
  }
  if (!there) return [pass('site.profile', `profile ${config.profile}, no publisher beside it`)];
  const fix = `Take ${paths.publisher} away from this machine.`;
  return [fail('site.profile', 'the keys of a publisher lie beside the site', fix)];
}

function checkLink({ site: { config } }: Patient): Check[] {
  const { sync } = config;
  if (sync === null) return [];
  const files = [sync.certificate, sync.key, sync.ca];
  const missing = files.filter((path) => statOf(path) === null);
  if (missing.length > 0)
    return [
      fail(
        'sync.files',
        `missing: ${missing.join(', ')}`,
        'Put the files there, or correct /sync in holdfast.json.',
      ),
    ];
  const key = statOf(sync.key);
  if (key !== null && (key.mode & 0o077) !== 0)
    return [fail('sync.files', `others can read ${sync.key}`, `chmod 0600 ${sync.key}`)];
  return [pass('sync.files', 'certificate, key and authority of the link are there')];
}
