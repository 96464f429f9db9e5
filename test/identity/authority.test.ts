import { X509Certificate } from 'node:crypto';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type Authority,
  type AuthorityFiles,
  certifyRequest,
  issueCertificate,
  newAuthority,
  newRequest,
  openAuthority,
} from '../../daemon/identity/authority.ts';
import { certificateIn } from '../../daemon/identity/tls.ts';
import { run } from './secure-world.ts';

const OPENSSL = '/usr/bin/openssl';
const SITE = 'outpost-7.example';
const subject = { name: 'ops-1', spiffe_id: `spiffe://${SITE}/agent/ops-1`, use: 'client' as const };

let files: AuthorityFiles;
let authority: Authority;
let dir: string;
beforeAll(async () => {
  files = await newAuthority(SITE);
  authority = await openAuthority(files);
  dir = mkdtempSync(join(tmpdir(), 'holdfast-ca-'));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

describe("a site's authority", () => {
  it('issues what leads back to it, names one SPIFFE ID, and has no end', async () => {
    const issued = await issueCertificate(authority, subject);
    const certificate = new X509Certificate(issued.pem);
    const root = new X509Certificate(files.certificate);
    expect(certificate.verify(root.publicKey)).toBe(true);
    expect(certificate.checkIssued(root)).toBe(true);
    expect([certificate.ca, root.ca]).toEqual([false, true]);
    expect(certificate.subjectAltName).toBe(`URI:${subject.spiffe_id}`);
    expect([certificate.validFrom, certificate.validTo]).toEqual([
      'Jan  1 00:00:00 1970 GMT',
      'Dec 31 23:59:59 9999 GMT',
    ]);
    expect(certificateIn(issued.pem)).toEqual({
      spiffe_id: subject.spiffe_id,
      fingerprint: issued.fingerprint,
    });
    expect(certificate.keyUsage).toEqual(['1.3.6.1.5.5.7.3.2']);
  });

  it('calls servers localhost too, and lets no client be one', async () => {
    const server = new X509Certificate(
      (await issueCertificate(authority, { ...subject, use: 'server' })).pem,
    );
    expect(server.subjectAltName).toBe(`URI:${subject.spiffe_id}, DNS:localhost`);
    expect(server.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1']);
  });

  it('never gives a serial number twice', async () => {
    const serials = await Promise.all(Array.from({ length: 20 }, () => issueCertificate(authority, subject)));
    expect(new Set(serials.map(({ serial }) => serial)).size).toBe(20);
    for (const { serial } of serials) expect(serial).toMatch(/^[4-7][0-9a-f]{31}$/);
  });

  it('certifies the key of a request, and takes nothing else from it', async () => {
    const { csr, key } = await newRequest('CN=root, O=evil');
    const { pem } = await certifyRequest(authority, subject, csr);
    const certificate = new X509Certificate(pem);
    expect(certificate.subject).toBe('CN=ops-1');
    const { createPrivateKey } = await import('node:crypto');
    expect(certificate.checkPrivateKey(createPrivateKey(key))).toBe(true);
  });

  it.each(['', 'x', '-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----'])(
    'certifies nothing for %j',
    async (text) => {
      await expect(certifyRequest(authority, subject, text)).rejects.toMatchObject({ code: 'csr.malformed' });
    },
  );

  it('certifies no key whose owner did not sign the request', async () => {
    const { csr } = await newRequest('x');
    const der = Buffer.from(csr.replaceAll(/-----[^-]+-----|\s/g, ''), 'base64');
    // The last byte is of the signature.
    der[der.length - 1] = (der.at(-1) ?? 0) ^ 1;
    const damaged = `-----BEGIN CERTIFICATE REQUEST-----\n${der.toString('base64')}\n-----END CERTIFICATE REQUEST-----`;
    await expect(certifyRequest(authority, subject, damaged)).rejects.toMatchObject({
      code: 'csr.malformed',
    });
  });

  it('is not opened from anything else, and never quotes its key', async () => {
    const opened = openAuthority({ certificate: files.certificate, key: files.key.replace('M', 'm') });
    await expect(opened).rejects.toMatchObject({ code: 'authority.malformed' });
    await opened.catch((error: Error) => {
      expect(`${error.message}${String(error.cause)}`).not.toContain(files.key.slice(40, 80));
    });
  });

  it.runIf(existsSync(OPENSSL))('is one for openssl', async () => {
    const { pem } = await issueCertificate(authority, { ...subject, use: 'both' });
    writeFileSync(join(dir, 'ca.pem'), files.certificate);
    writeFileSync(join(dir, 'leaf.pem'), pem);
    for (const purpose of ['sslclient', 'sslserver']) {
      const verified = await run(OPENSSL, [
        'verify',
        '-x509_strict',
        '-purpose',
        purpose,
        '-CAfile',
        join(dir, 'ca.pem'),
        join(dir, 'leaf.pem'),
      ]);
      expect([verified.code, verified.stderr]).toEqual([0, '']);
    }
  });
});
