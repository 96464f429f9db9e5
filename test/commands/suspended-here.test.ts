import { afterEach, describe, expect, it, vi } from 'vitest';
import { type ApiClient, ApiProblem, ApiUnreachable } from '../../daemon/api/client.ts';
import { countedHere, suspendedHere } from '../../daemon/commands/suspended-here.ts';
import { parsePublicKeyLine } from '../../daemon/formats/sshsig.ts';
import { alice, bob, carol } from '../engine/bundle.ts';

const principal = {
  kind: 'human' as const,
  roles: ['L3'],
  status: 'active' as const,
  keys: [{ public_key: alice.line }, { public_key: bob.line, status: 'revoked' as const }],
};
const fingerprint = ({ line }: { line: string }): string => parsePublicKeyLine(line).fingerprint;

describe('a principal as they count at the site', () => {
  const counted = (...suspended: string[]) => {
    const { status, keys } = countedHere('alice', principal, new Set(suspended));
    return [status, ...(keys ?? []).map((key) => key.status ?? 'active')];
  };

  it('is what the policy says, where nothing of theirs was suspended', () => {
    expect(counted()).toEqual(['active', 'active', 'revoked']);
    expect(counted('bob', fingerprint(carol))).toEqual(['active', 'active', 'revoked']);
  });

  it('is suspended with every key, or with one key alone', () => {
    expect(counted('alice')).toEqual(['suspended', 'suspended', 'revoked']);
    expect(counted(fingerprint(alice), fingerprint(bob))).toEqual(['active', 'suspended', 'revoked']);
  });

  it('is not made better than the policy says', () => {
    const revoked = { ...principal, status: 'revoked' as const };
    expect(countedHere('alice', revoked, new Set(['alice'])).status).toBe('revoked');
  });
});

describe('what is suspended at the site', () => {
  let said = '';
  const ask = (suspendedKeys: () => Promise<object>) => {
    said = '';
    vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
      said += String(text);
      return true;
    });
    return suspendedHere({ suspendedKeys } as unknown as ApiClient);
  };
  afterEach(() => vi.restoreAllMocks());

  it('is what the daemon lists', async () => {
    const names = await ask(async () => ({ suspended: [{ suspended: 'alice' }] }));
    expect([[...names], said]).toEqual([['alice'], '']);
  });

  it.each([
    new ApiProblem(404, { code: 'http.not_found' }),
    new ApiUnreachable('missing', 'no socket', { sent: false }),
  ])('is said to be unknown where it does not tell: %s', async (error) => {
    expect([...(await ask(() => Promise.reject(error)))]).toEqual([]);
    expect(said).toContain('What is suspended here is not known');
  });

  it('hides no defect', async () => {
    await expect(ask(() => Promise.reject(new TypeError('x')))).rejects.toThrow(TypeError);
  });
});
