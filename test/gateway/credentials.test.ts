import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ExecCall } from '../../daemon/formats/permit.ts';
import { credentialName, slotName } from '../../daemon/formats/secret-reference.ts';
import { credentialSource, fillCredentials, lookUpCredentials } from '../../daemon/gateway/credentials.ts';
import { isRefused } from '../../daemon/gateway/refusal.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'hf-credentials-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const put = (name: string, text: string | Uint8Array, mode = 0o600) => {
  writeFileSync(join(directory, name), text);
  chmodSync(join(directory, name), mode);
};
const call = (stdin: ExecCall['stdin']): ExecCall => ({
  connector: 'exec',
  argv: ['/bin/true'],
  stdin,
  timeout_ms: 1_000,
  output_limit_bytes: 1_000,
});
const slot = (name: string) => ({ $credential: name });

describe('a credential', () => {
  it('comes from the first directory that has it, without its last line end', () => {
    const second = mkdtempSync(join(tmpdir(), 'hf-credentials-'));
    try {
      put('relay', 'first\n');
      writeFileSync(join(second, 'relay'), 'second', { mode: 0o600 });
      writeFileSync(join(second, 'other'), 'a\nb\r\n', { mode: 0o600 });
      const source = credentialSource([undefined, '', directory, second]);
      expect(source('relay')).toBe('first');
      expect(source('other')).toBe('a\nb');
      expect(source('neither')).toBeNull();
    } finally {
      rmSync(second, { recursive: true, force: true });
    }
  });

  it('is not used when others could read it, and not told when it is no text', () => {
    put('open', 'hunter2', 0o644);
    put('binary', Buffer.from([0xff, 0xfe, 0x41]));
    const source = credentialSource([directory]);
    for (const [name, because] of [
      ['open', 'credential.exposed'],
      ['binary', 'credential.not_text'],
    ] as const) {
      const found = lookUpCredentials(call({ key: slot(name) }), source);
      expect(isRefused(found) && [found.refused, found.because]).toEqual([
        'gateway.credential_unusable',
        because,
      ]);
      expect(JSON.stringify(found)).not.toContain('hunter2');
    }
  });

  it('that is missing names itself and what to do', () => {
    const found = lookUpCredentials(call({ key: slot('relay') }), credentialSource([directory]));
    expect(isRefused(found) && found.refused).toBe('gateway.credential_missing');
    expect(isRefused(found) && found.message).toMatch(/no credential relay.*permit is unspent/);
  });

  it('fills its slots and nothing else', () => {
    put('relay', 'secret');
    const stdin = {
      key: slot('relay'),
      again: slot('relay'),
      other: 'credential:relay',
      list: ['credential:relay'],
    };
    const values = lookUpCredentials(call(stdin), credentialSource([directory]));
    if (isRefused(values)) throw new Error(values.message);
    expect(fillCredentials(call(stdin), values)).toEqual(call({ ...stdin, key: 'secret', again: 'secret' }));
    expect(fillCredentials(call(null), new Map())).toEqual(call(null));
  });
});

describe('the name of a credential', () => {
  it.each(['credential:relay-2', 'credential:a', 'credential:a.b_c-1'])('%s', (text) => {
    expect(credentialName(text)).toBe(text.slice(11));
  });

  it.each([
    'relay',
    'credential:',
    'credential:../etc/shadow',
    'credential:a/b',
    'credential:A',
    'credential:.hidden',
    'credential:holdfast-kek',
    'credential:a\n',
    `credential:${'a'.repeat(65)}`,
  ])('is not %j', (text) => {
    expect(credentialName(text)).toBeNull();
  });

  it('never leads out of its directory', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        const name = credentialName(`credential:${text}`) ?? slotName({ $credential: text });
        if (name !== null) expect(name).toMatch(/^[a-z0-9][a-z0-9._-]*$/);
      }),
    );
  });

  it('stands in a slot alone', () => {
    expect(slotName({ $credential: 'relay', more: 1 })).toBeNull();
    expect(slotName({ $credential: 1 })).toBeNull();
    expect(slotName(['relay'])).toBeNull();
    expect(slotName('credential:relay')).toBeNull();
  });
});
