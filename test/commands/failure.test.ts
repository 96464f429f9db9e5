import { describe, expect, it } from 'vitest';
import { ApiProblem, ApiUnreachable } from '../../daemon/api/client.ts';
import { describeFailure } from '../../daemon/commands/failure.ts';
import { REFUSALS } from '../../daemon/core/refusal.ts';
import { BoundaryError } from '../../daemon/formats/boundary-error.ts';

const problem = (status: number): ApiProblem =>
  new ApiProblem(status, { code: 'x.y', detail: 'No, because.' });

describe('exit codes of failures', () => {
  it('bad input is 2 and names the place', () => {
    const failure = describeFailure(new BoundaryError('json.duplicate_key', 'Twice.', { at: '/a' }));
    expect(failure).toMatchObject({ exitCode: 2, text: 'Twice. (at /a)' });
    expect(failure.document).toEqual({ error: { code: 'json.duplicate_key', message: 'Twice. (at /a)' } });
  });

  it.each(['ledger.rolled_back', 'ledger.unavailable', 'head.missing', 'database.missing'])(
    '%s is 5',
    (code) => {
      expect(describeFailure(new BoundaryError(code, 'It ends too early.')).exitCode).toBe(5);
    },
  );

  it.each([
    [400, 2],
    [404, 2],
    [413, 2],
    [403, 3],
    [409, 3],
    [410, 3],
    [422, 3],
    [429, 5],
    [502, 5],
    [503, 5],
    [500, 1],
  ])('a problem of status %d is %d', (status, code) => {
    const failure = describeFailure(problem(status));
    expect(failure.exitCode).toBe(code);
    expect(failure.text).toContain('No, because.');
  });

  it('no refusal of the engine looks like success or like waiting', () => {
    for (const status of new Set(Object.values(REFUSALS)))
      expect([1, 2, 3, 5]).toContain(describeFailure(problem(status)).exitCode);
  });

  it('a daemon that is not there is 5, and what may have happened is said', () => {
    const missing = describeFailure(new ApiUnreachable('missing', 'nothing listens', { sent: false }));
    expect(missing).toMatchObject({ exitCode: 5, text: expect.stringContaining('Nothing was asked') });
    const lost = describeFailure(new ApiUnreachable('timeout', 'no answer', { sent: true }));
    expect(lost).toMatchObject({ exitCode: 5, text: expect.stringContaining('may have been acted on') });
  });

  it('anything else is a defect of ours: 1, short, and without a stack unless asked for', () => {
    const failure = describeFailure(new TypeError('x is not a function'));
    expect(failure.exitCode).toBe(1);
    expect(failure.text).toContain('HOLDFAST_DEBUG');
    expect(failure.text).not.toContain('    at ');
  });
});
