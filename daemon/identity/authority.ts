// The library wants this before itself.
import 'reflect-metadata';
import type { webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import { BoundaryError } from '../formats/boundary-error.ts';
import { randomBytes } from '../host/random.ts';

/*
 * The site's own certificate authority: P-256, one level, one trust domain. Certificates say who somebody is; whether
 * that somebody counts says the roster. So they are valid from 1970 to 9999 (RFC 5280 section 4.1.2.5: no well-defined
 * end), and no doubtful clock can lock the parts of a site out of each other.
 */

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const NOT_BEFORE = new Date('1970-01-01T00:00:00Z');
const NOT_AFTER = new Date('9999-12-31T23:59:59Z');
const SERIAL_BYTES = 16;

export interface Authority {
  readonly certificate: x509.X509Certificate;
  readonly key: webcrypto.CryptoKey;
}

export interface AuthorityFiles {
  certificate: string;
  /** PKCS #8 PEM, secret. */
  key: string;
}

/** What a certificate is for. Servers are called `localhost` too, for clients that look for a host's name. */
export type CertificateUse = 'client' | 'server' | 'both';

export interface Subject {
  /** Common name, for people. */
  name: string;
  spiffe_id: string;
  use: CertificateUse;
}

export interface IssuedCertificate {
  pem: string;
  /** Hex SHA-256 of the certificate. */
  fingerprint: string;
  serial: string;
}

/** A new authority for a site. */
export async function newAuthority(site: string): Promise<AuthorityFiles> {
  const keys = await newKeys();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: newSerial(),
    name: [{ CN: [`${site} holdfast authority`] }],
    notBefore: NOT_BEFORE,
    notAfter: NOT_AFTER,
    signingAlgorithm: ALGORITHM,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { certificate: `${certificate.toString('pem')}\n`, key: await privatePem(keys.privateKey) };
}

/** Opens an authority from its two PEM texts. Throws BoundaryError `authority.malformed`. */
export async function openAuthority({ certificate, key }: AuthorityFiles): Promise<Authority> {
  try {
    const der = x509.PemConverter.decodeFirst(key);
    const imported = await crypto.subtle.importKey('pkcs8', der, ALGORITHM, false, ['sign']);
    return { certificate: new x509.X509Certificate(certificate), key: imported };
  } catch {
    // The cause could quote the key.
    throw new BoundaryError(
      'authority.malformed',
      "The key or certificate of the site's authority cannot be read; nothing was issued. Restore state/keys and trust from a backup.",
    );
  }
}

/** A new key pair with its certificate. */
export async function issueCertificate(
  authority: Authority,
  subject: Subject,
): Promise<IssuedCertificate & { key: string }> {
  const keys = await newKeys();
  const issued = await certify(authority, subject, keys.publicKey);
  return { ...issued, key: await privatePem(keys.privateKey) };
}

/**
 * A certificate for the key of a certificate request (PKCS #10). The request proves that its sender has the key; nothing
 * else in it is used. Throws BoundaryError `csr.malformed`.
 */
export async function certifyRequest(
  authority: Authority,
  subject: Subject,
  pem: string,
): Promise<IssuedCertificate> {
  let request: x509.Pkcs10CertificateRequest;
  let proven: boolean;
  try {
    request = new x509.Pkcs10CertificateRequest(pem);
    const { name, namedCurve } = request.publicKey.algorithm as { name?: string; namedCurve?: string };
    proven = name === 'ECDSA' && namedCurve === 'P-256' && (await request.verify());
  } catch (cause) {
    throw badRequest(cause);
  }
  if (!proven) throw badRequest();
  return certify(authority, subject, request.publicKey);
}

function badRequest(cause?: unknown): BoundaryError {
  return new BoundaryError(
    'csr.malformed',
    'This is no certificate request for a P-256 key, signed by that key; nothing was issued.',
    { cause },
  );
}

async function certify(
  { certificate, key }: Authority,
  { name, spiffe_id, use }: Subject,
  publicKey: webcrypto.CryptoKey | x509.PublicKey,
): Promise<IssuedCertificate> {
  const usages = [
    ...(use === 'server' ? [] : [x509.ExtendedKeyUsage.clientAuth]),
    ...(use === 'client' ? [] : [x509.ExtendedKeyUsage.serverAuth]),
  ];
  const names: x509.JsonGeneralNames = [{ type: 'url', value: spiffe_id }];
  if (use !== 'client') names.push({ type: 'dns', value: 'localhost' });
  const serialNumber = newSerial();
  const issued = await x509.X509CertificateGenerator.create({
    serialNumber,
    subject: [{ CN: [name] }],
    issuer: certificate.subject,
    notBefore: NOT_BEFORE,
    notAfter: NOT_AFTER,
    signingAlgorithm: ALGORITHM,
    publicKey,
    signingKey: key,
    extensions: [
      // X509-SVID section 4: a leaf is no authority and may sign.
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension(usages),
      new x509.SubjectAlternativeNameExtension(names),
      await x509.AuthorityKeyIdentifierExtension.create(certificate),
    ],
  });
  const fingerprint = Buffer.from(await issued.getThumbprint('SHA-256')).toString('hex');
  return { pem: `${issued.toString('pem')}\n`, fingerprint, serial: serialNumber };
}

/** A new P-256 key with a request for its certificate, for who renews: the key never leaves it. */
export async function newRequest(name: string): Promise<{ key: string; csr: string }> {
  const keys = await newKeys();
  const request = await x509.Pkcs10CertificateRequestGenerator.create({
    name: [{ CN: [name] }],
    keys,
    signingAlgorithm: ALGORITHM,
  });
  return { key: await privatePem(keys.privateKey), csr: request.toString('pem') };
}

function newKeys(): Promise<webcrypto.CryptoKeyPair> {
  return crypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
}

async function privatePem(key: webcrypto.CryptoKey): Promise<string> {
  return `${x509.PemConverter.encode(await crypto.subtle.exportKey('pkcs8', key), 'PRIVATE KEY')}\n`;
}

/** RFC 5280 section 4.1.2.2: positive, at most 20 octets, not guessable. */
function newSerial(): string {
  const bytes = randomBytes(SERIAL_BYTES);
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40;
  return Buffer.from(bytes).toString('hex');
}
