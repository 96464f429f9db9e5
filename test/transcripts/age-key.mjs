// What `age-keygen -o FILE` does: an identity in a file, its recipient on stdout.
import { writeFileSync } from 'node:fs';
import { generateIdentity, identityToRecipient } from 'age-encryption';

const identity = await generateIdentity();
writeFileSync(process.argv[2], `${identity}\n`, { mode: 0o600 });
console.log(await identityToRecipient(identity));
