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

  it.each([
    [
      'daemon',
      { reason: 'missing', message: 'nothing listens on run/request.sock' },
      'Start it with: holdfast daemon',
    ],
    [
      'gateway',
      { reason: 'missing', message: 'nothing listens on run/gateway.sock' },
      'Start it with: holdfast gateway',
    ],
  ] as const)('a %s that is not there is named', (role, { reason, message }, next) => {
    const failure = describeFailure(new ApiUnreachable(reason, message, { sent: false }));
    expect(failure.document).toMatchObject({ error: { code: `${role}.unreachable` } });
    expect(failure.text).toContain(next);
  });

  it('does not tell somebody to start what merely keeps them out', () => {
    const failure = describeFailure(
      new ApiUnreachable('forbidden', 'not permitted to use run/operator.sock', { sent: false }),
    );
    expect(failure.text).toBe('Not permitted to use run/operator.sock.\nNothing was asked and nothing ran.');
  });

  it.each([
    ['ENOENT', 2],
    ['EACCES', 2],
    ['ENOSPC', 5],
    ['EROFS', 5],
  ])('%s on a file that was named is no defect of ours', (code, exitCode) => {
    const error = Object.assign(new Error(`${code}: no`), {
      code,
      path: '/media/stick/act.json',
      syscall: 'open',
    });
    const failure = describeFailure(error);
    expect(failure.exitCode).toBe(exitCode);
    expect(failure.text).toMatch(/^\/media\/stick\/act\.json: .*put it right and repeat\.$/);
  });

  it('nor is one on a file that was open already, which the error does not name', () => {
    const error = Object.assign(new Error('no space'), { code: 'ENOSPC', syscall: 'write', errno: -28 });
    expect(describeFailure(error)).toMatchObject({
      exitCode: 5,
      text: expect.stringMatching(/^the disk is full \(ENOSPC\)\./),
    });
  });

  it('an entry that is not there is a slip of the caller; a second daemon is not', () => {
    expect(describeFailure(new BoundaryError('ledger.entry_not_found', 'None.')).exitCode).toBe(2);
    expect(describeFailure(new BoundaryError('socket.in_use', 'Taken.')).exitCode).toBe(5);
  });

  it('anything else is a defect of ours: 1, short, and without a stack unless asked for', () => {
    const failure = describeFailure(new TypeError('x is not a function'));
    expect(failure.exitCode).toBe(1);
    expect(failure.text).toContain('HOLDFAST_DEBUG');
    expect(failure.text).not.toContain('    at ');
  });
});
