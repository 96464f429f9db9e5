import { join } from 'node:path';
import { stringify } from 'yaml';
import { toBase64 } from '../../formats/digest.ts';
import { publicKeyOf } from '../../formats/ed25519.ts';
import { encodePrivateKey } from '../../formats/openssh-key.ts';
import { ed25519Blob } from '../../formats/ssh-public-key.ts';
import { makeDir, writeDurable } from '../../host/durable-file.ts';
import { randomBytes } from '../../host/random.ts';
import { writeSecretFile } from '../../host/secret-file.ts';

/** Who can approve what at a dev site. Each gets a key file: on a real site these would be five people and five tokens. */
const PEOPLE = [
  { id: 'operator', display_name: 'Operator on shift', roles: ['L2'] },
  { id: 'alice', display_name: 'Alice, senior operator', roles: ['L3'] },
  { id: 'bob', display_name: 'Bob, safety officer', roles: ['safety_officer'] },
  { id: 'carol', display_name: 'Carol, site lead', roles: ['L4'] },
  { id: 'dave', display_name: 'Dave, head of operations', roles: ['L5'] },
] as const;

/** What asks without a person; agents and services hold no approval keys. */
const MACHINES = {
  'agent:ops-1': {
    kind: 'agent',
    display_name: 'Operations agent',
    roles: ['agent'],
    status: 'active',
    owner: 'operator',
  },
  'service:scheduler': {
    kind: 'service',
    display_name: 'Local scheduler',
    roles: ['service'],
    status: 'active',
    owner: 'operator',
  },
} as const;

const HEAD = `# Made by "holdfast init --profile dev": whoever can read publisher/people/ can sign as any of these people.
# Real sites list real people here, with public keys only.
`;

/** Makes a key pair per person in `dir` (NAME 0600, NAME.pub) and returns the text of `principals.yaml` that enrols them. */
export function createPeople(dir: string, site: string): { names: string[]; principals: string } {
  makeDir(dir, 0o700);
  const people = PEOPLE.map(({ id, display_name, roles }) => {
    const public_key = createPersonKey(join(dir, id), `${id}@${site}`);
    return [
      id,
      { kind: 'human', display_name, roles, status: 'active', keys: [{ public_key, status: 'active' }] },
    ] as const;
  });
  return {
    names: PEOPLE.map(({ id }) => id),
    principals: HEAD + stringify({ ...Object.fromEntries(people), ...MACHINES }, { lineWidth: 0 }),
  };
}

function createPersonKey(path: string, comment: string): string {
  const seed = randomBytes(32);
  const line = `ssh-ed25519 ${toBase64(ed25519Blob(publicKeyOf(seed)))} ${comment}`;
  writeSecretFile(path, Buffer.from(encodePrivateKey({ seed, comment }), 'utf8'));
  writeDurable(`${path}.pub`, Buffer.from(`${line}\n`, 'utf8'), 0o644);
  return line;
}
