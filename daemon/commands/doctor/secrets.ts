import { BoundaryError } from '../../formats/boundary-error.ts';
import { findKek } from '../../host/kek.ts';
import { seeKeyFiles } from '../../host/key-files.ts';
import { type VolumeState, volumeOf } from '../../host/volume.ts';
import type { Site } from '../access.ts';
import { type Check, fail, type Patient, pass, warn } from './check.ts';

/** Secrets at rest: what protects the keys, and the disks under the ledger and its copies. */
export function checkSecretsAtRest({ site }: Patient): Check[] {
  return [...checkKeysAtRest(site), ...placesOf(site).map((place) => checkVolume(site, place))];
}

/** An appliance is carried away more easily than a server; a dev site holds nothing of worth. */
function strictly({ config }: Site): typeof fail {
  return config.profile === 'appliance' ? fail : warn;
}

function checkKeysAtRest(site: Site): Check[] {
  const id = 'secrets.keys_wrapped';
  const { paths, config } = site;
  let files: ReturnType<typeof seeKeyFiles>;
  try {
    files = seeKeyFiles(paths.keys);
  } catch {
    return [
      warn(id, `${paths.keys} cannot be read by this account`, 'Run doctor as the account of the daemon.'),
    ];
  }
  const open = files.filter(({ kek }) => kek === null).map(({ name }) => name);
  if (open.length > 0) {
    const found = `${open.join(', ')} lie open in state/keys: whoever takes the disk has them`;
    if (config.profile === 'dev') return [pass(id, `${found}; it is a dev site`)];
    const fix =
      'Give the daemon a key-encryption key (docs/operate/secrets.md), stop it, then: holdfast keys wrap';
    return [strictly(site)(id, found, fix)];
  }
  return [
    pass(id, `${files.length} keys lie wrapped`),
    ...checkKek(site, new Set(files.map(({ kek }) => kek))),
  ];
}

/** Whether the key-encryption key is the one that the files lie under. Where it is a credential, only the daemon has it. */
function checkKek({ config }: Site, under: ReadonlySet<string | null>): Check[] {
  const id = 'secrets.kek';
  try {
    const kek = findKek(config.secrets);
    if (kek === null)
      return [pass(id, 'the key-encryption key is a credential that only the daemon is given')];
    if (under.size === 1 && under.has(kek.id))
      return [pass(id, `under the key-encryption key ${kek.id} (${kek.source})`)];
    const fix =
      'Put back the key-encryption key of this site, or bring all under the new one: holdfast keys wrap --from OLD';
    return [fail(id, `some keys lie under another key-encryption key than ${kek.id} (${kek.source})`, fix)];
  } catch (error) {
    if (!(error instanceof BoundaryError)) throw error;
    return [fail(id, error.message, 'See docs/operate/secrets.md.')];
  }
}

interface Place {
  id: string;
  what: string;
  path: string;
}

function placesOf({ paths, config }: Site): Place[] {
  const places: Place[] = [
    { id: 'secrets.ledger_volume', what: 'the ledger, its log and the envelopes', path: paths.state },
  ];
  if (config.copy !== null)
    places.push({ id: 'secrets.copy_volume', what: 'the second copy of the ledger', path: config.copy.path });
  return places;
}

const SAID: Readonly<Record<VolumeState, string>> = {
  encrypted: 'on an encrypted volume',
  plain: 'on a volume that is not encrypted',
  memory: 'in memory only, and gone with the power',
  unknown: 'on a volume of which it cannot be seen whether it is encrypted',
};

function checkVolume(site: Site, { id, what, path }: Place): Check {
  const volume = volumeOf(path);
  const fix = `Put ${path} on a LUKS volume (cryptsetup luksFormat), or see to it that its storage encrypts.`;
  if (volume === null) return warn(id, `where ${what} lie (${path}) cannot be seen from here`, fix);
  const { state, mount, type } = volume;
  const found = `${what}: ${SAID[state]} (${type} at ${mount})`;
  if (state === 'encrypted' || site.config.profile === 'dev') return pass(id, found);
  // What cannot be seen may be well.
  return state === 'unknown' ? warn(id, found, fix) : strictly(site)(id, found, fix);
}
