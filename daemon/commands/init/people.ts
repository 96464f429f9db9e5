import { join } from 'node:path';
import { type Document, isMap, isScalar } from 'yaml';
import { BoundaryError } from '../../formats/boundary-error.ts';
import { toBase64 } from '../../formats/digest.ts';
import { publicKeyOf } from '../../formats/ed25519.ts';
import { encodePrivateKey } from '../../formats/openssh-key.ts';
import { ed25519Blob } from '../../formats/ssh-public-key.ts';
import { makeDir, writeDurable } from '../../host/durable-file.ts';
import { randomBytes } from '../../host/random.ts';
import { writeSecretFile } from '../../host/secret-file.ts';

const HEAD = ` Keys made by "holdfast init --profile dev": whoever can read publisher/people/ can sign as any of these people.
 A real site lists public keys only, and each private half stays with its person.`;

/**
 * Gives every human of a `principals.yaml` a new key pair in `dir` (ID 0600, ID.pub) and enrols it in `principals` in
 * place of the keys there. Returns their ids. Throws BoundaryError `init.bad_policy` when the document lists nobody.
 */
export function enrolPeople(principals: Document, dir: string, site: string): string[] {
  const ids = humans(principals);
  if (ids.length === 0)
    throw new BoundaryError(
      'init.bad_policy',
      'principals.yaml of the policy lists no human, so nobody could approve anything; no site was made.',
      { at: 'principals.yaml' },
    );
  makeDir(dir, 0o700);
  for (const id of ids) {
    const public_key = createPersonKey(join(dir, id), `${id}@${site}`);
    principals.setIn([id, 'keys'], principals.createNode([{ public_key }]));
  }
  principals.commentBefore = HEAD;
  return ids;
}

function humans(principals: Document): string[] {
  if (!isMap(principals.contents)) return [];
  const ids = principals.contents.items.map(({ key }) => (isScalar(key) ? String(key.value) : ''));
  // An id becomes a file name here, before the policy as a whole has been checked.
  return ids.filter(
    (id) => /^[a-z][a-z0-9:_.@-]{0,127}$/.test(id) && principals.getIn([id, 'kind']) === 'human',
  );
}

function createPersonKey(path: string, comment: string): string {
  const seed = randomBytes(32);
  const line = `ssh-ed25519 ${toBase64(ed25519Blob(publicKeyOf(seed)))} ${comment}`;
  writeSecretFile(path, Buffer.from(encodePrivateKey({ seed, comment }), 'utf8'));
  writeDurable(`${path}.pub`, Buffer.from(`${line}\n`, 'utf8'), 0o644);
  return line;
}
