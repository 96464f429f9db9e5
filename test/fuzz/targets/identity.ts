import { CompactSign, exportJWK, generateKeyPair } from 'jose';
import type { BundleOidc } from '../../../daemon/core/bundle-oidc.ts';
import { actNonce } from '../../../daemon/core/id-token.ts';
import { spiffeIdOfNames } from '../../../daemon/formats/spiffe.ts';
import {
  certifyRequest,
  issueCertificate,
  newAuthority,
  newRequest,
  openAuthority,
} from '../../../daemon/identity/authority.ts';
import { verifyIdToken } from '../../../daemon/identity/id-token.ts';
import { certificateIn } from '../../../daemon/identity/tls.ts';
import { bytes, refusedAs, type Target, text } from '../target.ts';

/* Who somebody is: certificates, requests for them, and ID tokens. */

const ISSUER = 'https://login.outpost-7.example';
const ACT = '{"answer":"approve"}';
const NOW = Date.parse('2026-11-21T08:00:00Z');
const SUBJECT = { name: 'gateway', spiffe_id: 'spiffe://outpost-7.example/gateway', use: 'client' } as const;

async function idTokens(): Promise<Target[]> {
  const keys = await generateKeyPair('EdDSA', { extractable: true });
  const { x = '' } = await exportJWK(keys.publicKey);
  const oidc: BundleOidc = {
    providers: [
      {
        issuer: ISSUER,
        audience: 'holdfast',
        keys: [{ kty: 'OKP', crv: 'Ed25519', alg: 'EdDSA', kid: 'login-1', x }],
        keys_until: '2032-01-01T00:00:00Z',
        roles: { 'shift-lead': ['l3'] },
      },
    ],
  };
  const seconds = NOW / 1_000;
  const claims = {
    iss: ISSUER,
    aud: 'holdfast',
    sub: 'u-alice',
    iat: seconds,
    exp: seconds + 300,
    nonce: actNonce(ACT),
    roles: ['shift-lead'],
    amr: ['pwd', 'hwk'],
    auth_time: seconds,
  };
  // The bytes as they are: a provider of a bad mind keeps to no library that would mend them.
  const sign = (payload: Uint8Array): Promise<string> =>
    new CompactSign(payload).setProtectedHeader({ alg: 'EdDSA', kid: 'login-1' }).sign(keys.privateKey);
  const payload = Buffer.from(JSON.stringify(claims));
  const read = async (token: string) => {
    const checked = await verifyIdToken(token, ACT, { oidc, now: NOW, time_believed: true });
    return 'failed' in checked ? refusedAs(checked.failed) : checked;
  };
  return [
    text('id-token', {
      covers: ['verifyIdToken'],
      seeds: [await sign(payload)],
      read,
      words: ['eyJhbGciOiJub25lIn0.', '..'],
    }),
    // What a provider of a bad mind says under its own key.
    bytes('id-token-claims', {
      covers: ['verifyIdToken'],
      seeds: [payload, Buffer.from(JSON.stringify({ ...claims, exp: 'later' }).replace('"later"', '1e800'))],
      read: async (input) => read(await sign(input)),
    }),
  ];
}

async function certificates(): Promise<Target[]> {
  const authority = await openAuthority(await newAuthority('outpost-7.example'));
  const { csr } = await newRequest('gateway');
  const { pem } = await issueCertificate(authority, SUBJECT);
  const wrapped = (label: string, der: Uint8Array) =>
    `-----BEGIN ${label}-----\n${(
      Buffer.from(der)
        .toString('base64')
        .match(/.{1,64}/g) ?? []
    ).join('\n')}\n-----END ${label}-----\n`;
  const der = (text: string) => Buffer.from(text.replace(/-----[^-]+-----/g, ''), 'base64');
  return [
    text('certificate-request', {
      covers: ['certifyRequest'],
      seeds: [csr],
      read: async (input) => (await certifyRequest(authority, SUBJECT, input)).pem.length > 0,
    }),
    bytes('certificate-request-der', {
      covers: ['certifyRequest'],
      seeds: [der(csr)],
      read: async (input) =>
        (await certifyRequest(authority, SUBJECT, wrapped('CERTIFICATE REQUEST', input))).pem.length > 0,
    }),
    bytes('certificate-names', {
      covers: ['certificateIn', 'spiffeIdOfNames'],
      seeds: [der(pem)],
      read(input) {
        // OpenSSL decides what a certificate is, before anybody asks for the names in it.
        let found: unknown;
        try {
          found = certificateIn(wrapped('CERTIFICATE', input));
        } catch (error) {
          return /asn1|PEM|too long|header|ERR_OSSL|error:/i.test(String(error))
            ? refusedAs('openssl')
            : Promise.reject(error);
        }
        return found;
      },
    }),
    text('certificate-alt-names', {
      covers: ['spiffeIdOfNames'],
      seeds: ['URI:spiffe://outpost-7.example/gateway, DNS:localhost'],
      read: (input) => spiffeIdOfNames(input) ?? refusedAs('none'),
      words: ['URI:', 'DNS:', '"', ', ', 'spiffe://'],
    }),
  ];
}

export async function targets(): Promise<Target[]> {
  return [...(await idTokens()), ...(await certificates())];
}
