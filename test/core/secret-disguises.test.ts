import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { otherReadings } from '../../daemon/core/secret-disguises.ts';
import { secretScanner } from '../../daemon/core/secrets.ts';
import { compileSample, FACTS, sampleRequest } from './sample.ts';

const scanner = secretScanner();
/** Put together at run time, so that no scanner of repositories takes this file for a leak. */
const join = (...parts: string[]) => parts.join('');
const AWS = join('AKIA', 'ABCDEFGHIJKLMNOP');
const PASSWORD = join('password', '=hunter2000 and more');
const PEM = join('-----BEGIN ', 'RSA PRIVATE KEY-----\nMIIE');

const everyByte = (text: string, of: (byte: number) => string) => [...Buffer.from(text)].map(of).join('');
const DISGUISES: [string, (text: string) => string][] = [
  ['base64', (text) => Buffer.from(text).toString('base64')],
  ['base64url', (text) => Buffer.from(text).toString('base64url')],
  ['base64 twice', (text) => Buffer.from(Buffer.from(text).toString('base64')).toString('base64')],
  ['hex', (text) => Buffer.from(text).toString('hex')],
  ['percent', (text) => everyByte(text, (byte) => `%${byte.toString(16).padStart(2, '0')}`)],
  ['URL', (text) => encodeURIComponent(text)],
  ['JSON in JSON', (text) => JSON.stringify(JSON.stringify({ note: text }))],
  ['escapes', (text) => everyByte(text, (byte) => `\\u00${byte.toString(16).padStart(2, '0')}`)],
  [
    'base64 in a URL',
    (text) => `https://depot.example/?k=${encodeURIComponent(Buffer.from(text).toString('base64'))}`,
  ],
];

describe.each(DISGUISES)('in %s', (_name, disguise) => {
  it.each([
    ['a cloud key', AWS],
    ['a password', PASSWORD],
    ['a private key', PEM],
  ])('%s is found', (_what, secret) => {
    expect(scanner.find(disguise(secret))).not.toBeNull();
    expect(scanner.find(`see ${disguise(`note: ${secret}`)} for it`)).not.toBeNull();
    expect(scanner.anyIn(['nothing', disguise(secret)])).toBe(true);
  });
});

describe('pulled apart', () => {
  it.each([
    ['by blanks', AWS.split('').join(' ')],
    ['by a line end', `${AWS.slice(0, 9)}\n${AWS.slice(9)}`],
    ['by nothing visible', `${AWS.slice(0, 2)}\u200b${AWS.slice(2)}`],
    ['a private key, by blanks', PEM.split('').join(' ')],
  ])('%s', (_how, text) => {
    expect(scanner.find(text)).not.toBeNull();
  });

  it('over the items of a list', () => {
    const units = [AWS.slice(0, 6), AWS.slice(6, 12), AWS.slice(12)];
    const verdict = compileSample().evaluate(sampleRequest({ payload: { note: 'x', units } }), FACTS);
    const found = verdict.gates.filter(({ id }) => id === 'secrets.pattern');
    expect(found.map(({ field }) => field)).toEqual(['payload.units']);
    expect(JSON.stringify(verdict)).not.toContain(AWS.slice(6));
  });
});

describe('what is no secret', () => {
  it.each([
    ['a UUID', '018f4b1e-7a2b-7c3d-8e4f-5a6b7c8d9e0f'],
    ['a name in words', 'restart-the-telemetry-relay-after-the-storm'],
    ['base64 of plain words', Buffer.from('restart the relay').toString('base64')],
    ['a path with escapes', '/var/lib/site/My%20Files/relay%202.log'],
    ['capitals with blanks', 'A S I A N  R E G I O N  R E L A Y S'],
    ['words about keys', 'BEGIN the rotation of the PRIVATE net relay'],
    ['a digest', '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08'],
  ])('%s passes', (_what, text) => {
    expect(scanner.find(text)).toBeNull();
  });

  it('hex of random bytes passes, and no input makes more readings than it is long', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 400 }), (text) => {
        const total = otherReadings(text).reduce((sum, reading) => sum + reading.length, 0);
        expect(total).toBeLessThanOrEqual(text.length * 12);
      }),
    );
  });
});

it('stays quick on text made to stall it', () => {
  for (const text of [
    '%41'.repeat(5_000),
    '\\u0041'.repeat(2_500),
    'A K I '.repeat(2_500),
    'B E G I N '.repeat(1_600),
    'QUJD'.repeat(4_000),
  ]) {
    scanner.find(text);
  }
});
