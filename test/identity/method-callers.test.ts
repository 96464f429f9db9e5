import { expect, it } from 'vitest';
import { METHODS } from '../../daemon/api/methods.ts';
import { METHOD_CALLERS } from '../../daemon/core/caller-roles.ts';

it('every method of the sockets says who may call it, and nothing else is said', () => {
  const methods = METHODS.map(({ name }) => name).sort();
  expect(Object.keys(METHOD_CALLERS).sort()).toEqual(methods);
});

it('what tells or changes anything is not for anyone', () => {
  const open = Object.entries(METHOD_CALLERS).flatMap(([name, callers]) =>
    callers === 'anyone' ? [name] : [],
  );
  // Creating a decision is judged with the request: whoever may not ask gets a recorded denial.
  expect(open.sort()).toEqual(['decisions.create', 'health.get', 'openapi.get', 'ready.get', 'unsubscribe']);
});
