import { execFileSync } from 'node:child_process';
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface Certificates {
  ca: string;
  server: { certificate: string; key: string };
  client: { certificate: string; key: string };
}

/** An authority, a server's certificate for localhost and a client's, made by openssl in `dir`. */
export function makeCertificates(dir: string, name: string): Certificates {
  const at = (file: string): string => join(dir, `${name}-${file}`);
  const openssl = (...args: string[]) => execFileSync('openssl', args, { stdio: 'pipe' });
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-noenc'];
  openssl(
    'req',
    '-x509',
    ...newKey,
    '-keyout',
    at('ca.key'),
    '-out',
    at('ca.pem'),
    '-days',
    '2',
    '-subj',
    `/CN=${name} authority`,
  );
  writeFileSync(at('san'), 'subjectAltName=DNS:localhost,IP:127.0.0.1\n');
  const issue = (who: string, ...extra: string[]) => {
    openssl('req', ...newKey, '-keyout', at(`${who}.key`), '-out', at(`${who}.csr`), '-subj', `/CN=${who}`);
    const by = ['-CA', at('ca.pem'), '-CAkey', at('ca.key'), '-CAcreateserial'];
    openssl('x509', '-req', '-in', at(`${who}.csr`), ...by, '-out', at(`${who}.pem`), '-days', '2', ...extra);
    chmodSync(at(`${who}.key`), 0o600);
    return { certificate: at(`${who}.pem`), key: at(`${who}.key`) };
  };
  return { ca: at('ca.pem'), server: issue('server', '-extfile', at('san')), client: issue('client') };
}
